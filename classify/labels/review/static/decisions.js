// What was decided: shown at once where the server has saved it, never before.

import { faces, get, label, number, post } from "./data.js";
import { emit, notify, targets } from "./state.js";
import { proposals, questioned } from "./audit.js";

const FIELDS = ["mask", "gender", "age"];
const decided = new Map();
export let counts = {};
let queue = Promise.resolve();

export async function loadDecisions() {
  accept(await get("/api/decisions"));
}

function accept(answer) {
  for (const [row, verdicts] of Object.entries(answer.faces)) {
    if (Object.keys(verdicts).length) decided.set(Number(row), verdicts);
    else decided.delete(Number(row));
  }
  counts = answer.counts;
  emit("decisions", Object.keys(answer.faces).map(Number));
}

// Field -> [label, state].
export const verdicts = row => decided.get(row) ?? {};

export function stateOf(row) {
  const states = Object.values(verdicts(row)).map(([, one]) => one);
  return ["rejected", "changed", "confirmed"].find(one => states.includes(one)) ?? (faces.reviewed.has(row) ? "earlier" : "");
}

// The label as it would be.
export const wanted = (field, row) => verdicts(row)[field]?.[0] ?? label(field, row);

// One after the other, so that decisions are saved in the order in which they were made.
function send(path, content, done) {
  queue = queue.then(async () => {
    try {
      accept(await post(path, content));
      notify(done);
    } catch (error) {
      notify(error.message, true);
    }
  });
  return queue;
}

const many = rows => (rows.length === 1 ? "1 face" : `${number(rows.length)} faces`);

function decide(changes, what) {
  const rows = [...new Set(changes.map(change => change.row))];
  return send("/api/decisions", { changes }, `${many(rows)}: ${what}. z takes it back.`);
}

export function setLabel(field, value) {
  const rows = targets();
  if (rows.length) return decide(rows.map(row => ({ row, act: "set", field, value })), `${field} ${value || "unknown"}`);
}

const nothing = text => notify(targets().length ? text : "No face is chosen yet: click one.", true);

export function confirm() {
  const field = questioned();
  const known = targets().filter(row => (field ? [field] : FIELDS).some(name => label(name, row)));
  if (!known.length) return nothing("There is no label to confirm.");
  return decide(known.map(row => ({ row, act: "confirm", field })), field ? `${field} is right` : "labels are right");
}

export function reject() {
  const rows = targets();
  if (rows.length) return decide(rows.map(row => ({ row, act: "reject" })), "rejected");
}

export function clear() {
  const rows = targets().filter(row => decided.has(row));
  if (!rows.length) return notify("Nothing was decided here.", true);
  return decide(rows.map(row => ({ row, act: "clear" })), "decisions taken back");
}

export function propose() {
  const changes = targets().flatMap(row =>
    proposals(row).map(({ field, proposed_label: value, probability }) => ({ row, act: "set", field, value, probability })),
  );
  if (!changes.length) return nothing("There is no proposal here.");
  return decide(changes, changes.length === 1 ? `${changes[0].field} ${changes[0].value}` : "proposals taken");
}

export const undo = () => send("/api/undo", {}, "The last decision is taken back.");
