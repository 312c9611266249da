// Puts the page together: loads, filters, switches views.

import { faces, loadFaces, named, number, samePerson } from "./data.js";
import { issues, loadIssues } from "./audit.js";
import { counts, loadDecisions, setLabel } from "./decisions.js";
import { arrange, passing } from "./order.js";
import { listen } from "./keys.js";
import { MARKS, make } from "./cell.js";
import { emit, go, notify, on, select, state, targets } from "./state.js";
import * as list from "./issues.js";
import * as grid from "./grid.js";
import * as map from "./map.js";
import * as panel from "./panel.js";

const by = id => document.getElementById(id);
const VIEWS = { faces: "grid", issues: "issues", map: "map" };
const FILTERS = ["mask", "gender", "band", "source"];
const mover = () => (state.view === "issues" ? list : grid);
let rows = [];

function options(select, column) {
  const totals = new Map();
  for (const code of faces[column]) totals.set(code, (totals.get(code) ?? 0) + 1);
  for (const [code, count] of [...totals].sort(([a], [b]) => (a < 0) - (b < 0) || a - b)) {
    select.append(new Option(`${code < 0 ? "unknown" : faces.names[column][code] || "none"} (${number(count)})`, code));
  }
}

function filter() {
  const codes = Object.fromEntries(FILTERS.filter(name => by(name).value).map(name => [name, Number(by(name).value)]));
  rows = passing({ codes, state: by("state").value, text: by("search").value });
  by("count").textContent = rows.length === faces.count ? `${number(faces.count)} faces` : `${number(rows.length)} of ${number(faces.count)} faces`;
  by("nothing").hidden = rows.length > 0;
  grid.setArrangement(arrange(rows, by("group").value));
  list.setIssues(new Set(rows), by("kind").value);
  if (state.view === "map") map.setRows(rows);
}

function view(name) {
  state.view = name;
  for (const [one, place] of Object.entries(VIEWS)) {
    by(place).hidden = one !== name;
    by(`tab-${one}`).setAttribute("aria-selected", String(one === name));
  }
  document.body.dataset.view = name;
  if (name === "map") map.setRows(rows).catch(error => notify(error.message, true));
  if (name !== "map") by(VIEWS[name]).focus();
  emit("current");
}

function follow(row) {
  if (state.view === "faces") grid.open(row);
  else go(row);
  panel.toggle(true);
}

function decisionCounts() {
  const parts = ["changed", "confirmed", "rejected"].map(name => make("span", { className: `mark-${name}` }, `${MARKS[name]} ${number(counts[name])}`, make("i", {}, ` ${name}`)));
  by("decision-counts").replaceChildren(...parts);
}

function ask() {
  if (!targets().length) return;
  by("age").value = "";
  by("age-faces").textContent = targets().length === 1 ? named("age", targets()[0]) && `It is ${named("age", targets()[0])}.` : `For ${number(targets().length)} faces.`;
  by("age-dialog").showModal();
}

const page = {
  move: (dx, dy, extend) => mover().move(dx, dy, extend),
  page: direction => mover().page(direction),
  edge: end => mover().edge(end),
  toggle: () => panel.toggle(),
  leave: () => {
    if (state.selected.size) select([]);
    else if (panel.isOpen()) panel.toggle(false);
  },
  person: () => {
    if (state.current < 0) return;
    const all = samePerson(state.current);
    select(all);
    notify(all.length > 1 ? `All ${number(all.length)} photos of person ${named("person", state.current)} are selected.` : "No other photo of this person is known.");
  },
  search: () => by("search").focus(),
  help: () => by("help").showModal(),
  zoom: factor => state.view === "map" && map.zoom(factor),
  askAge: ask,
  // In the list of issues a decision leads to the next one.
  decide: async act => {
    const alone = state.view === "issues" && state.selected.size < 2, before = state.issue;
    const done = act();
    if (!alone || !done) return;
    await done;
    if (state.issue === before && by("message").classList.contains("bad") === false) list.move(0, 1);
  },
};

// The keys are the view's again once a filter was chosen with the mouse; whoever chose it with keys goes on there.
let pointed = false;
document.addEventListener("pointerdown", () => { pointed = true; }, true);
document.addEventListener("keydown", () => { pointed = false; }, true);
const back = () => { if (pointed) by(VIEWS[state.view]).focus(); };

function wire() {
  for (const name of FILTERS) options(by(name), name);
  by("source-label").hidden = faces.names.source.length < 2;
  for (const [kind, text] of list.kinds()) by("kind").append(new Option(text, kind));
  for (const id of [...FILTERS, "state", "group", "kind"]) by(id).addEventListener("input", () => { filter(); back(); });
  let timer;
  by("search").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 150); });
  by("size").addEventListener("input", () => grid.setSize(Number(by("size").value)));
  by("size").addEventListener("change", back);
  for (const name of Object.keys(VIEWS)) by(`tab-${name}`).addEventListener("click", () => view(name));
  by("help-open").addEventListener("click", page.help);
  by("apply-open").addEventListener("click", () => by("apply").showModal());
  by("filters-open").addEventListener("click", () => {
    const open = by("filters").classList.toggle("open");
    by("filters-open").setAttribute("aria-expanded", String(open));
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  }
  by("age-form").addEventListener("submit", event => {
    event.preventDefault();
    by("age-dialog").close();
    page.decide(() => setLabel("age", by("age").value.trim()));
  });
  document.addEventListener("ask-age", ask);
  by("command").textContent = faces.command;
  by("file").textContent = faces.decisions;
  by("tab-issues").hidden = !issues.length;
  by("tab-issues").append(make("small", {}, ` ${number(issues.length)}`));
  for (const part of [grid, list, map, panel]) part.setFollow?.(follow);
  listen(page);
}

on("decisions", decisionCounts);
on("current", () => { by("selected").textContent = state.selected.size ? `${number(state.selected.size)} selected` : ""; });

try {
  await Promise.all([loadFaces(), loadIssues()]);
  await loadDecisions();
  wire();
  filter();
  view(issues.length ? "issues" : "faces");
  by("loading").hidden = true;
  for (const part of [document.querySelector("header"), by("filters")]) part.inert = false;
} catch (error) {
  by("loading").textContent = error.message;
}
