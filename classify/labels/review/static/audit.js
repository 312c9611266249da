// What the audit found, by face.

import { get } from "./data.js";
import { state } from "./state.js";

export let findings = [];
const byRow = new Map();

export async function loadFindings() {
  findings = await get("/api/findings");
  findings.forEach(finding => {
    if (!byRow.has(finding.row)) byRow.set(finding.row, []);
    byRow.get(finding.row).push(finding);
  });
}

export const findingsOf = row => byRow.get(row) ?? [];

const current = () => (state.view === "findings" ? findings[state.finding] : undefined);

// The field that the current finding doubts, empty where there is none.
export const questioned = () => current()?.field ?? "";

// Proposals for a face: the current finding's where it is about this face, else the face's own, the first of each
// field; a finding about gender or age also speaks for the other faces that are selected, such as a whole person.
export function proposals(row) {
  const finding = current();
  if (finding?.row === row) return [finding].filter(usable);
  const own = findingsOf(row).filter(usable);
  const first = own.filter((one, i) => own.findIndex(other => other.field === one.field) === i);
  if (first.length || !finding || finding.field === "mask") return first;
  return [finding].filter(usable);
}

const usable = finding => finding.field && finding.proposal;
