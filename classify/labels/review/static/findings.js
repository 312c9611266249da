// The findings of the audit, the most suspicious first; only those in view are in the document.

import { faces } from "./data.js";
import { cell, make, refresh, show } from "./cell.js";
import { findings } from "./audit.js";
import { verdicts } from "./decisions.js";
import { on, select, state } from "./state.js";

const GAP = 8;
const KINDS = { label: "label", person: "person", copies: "copies", no_face: "no face", blurred: "blurred", swapped: "swapped" };
const box = document.getElementById("findings");
const list = document.getElementById("findings-list");
const cards = new Map();
let shown = [], height = 150, anchor = 0, frame;
let follow = () => {};

const step = () => height + GAP;

export function setFollow(open) {
  follow = open;
}

// Show the findings that pass: a set of rows, and a kind or nothing.
export function setFindings(rows, kind) {
  shown = findings.map((_, i) => i).filter(i => rows.has(findings[i].row) && (!kind || findings[i].kind === kind));
  state.finding = shown.includes(state.finding) ? state.finding : -1;
  layout();
  box.scrollTop = 0;
  render();
}

export const kinds = () => [...new Set(findings.map(one => one.kind))].map(kind => [kind, KINDS[kind] ?? kind]);

function layout() {
  for (const card of cards.values()) card.remove();
  cards.clear();
  height = box.clientWidth < 980 ? 240 : 150; // as in the style sheet
  list.style.height = `${GAP + shown.length * step()}px`;
  document.getElementById("no-findings").hidden = shown.length > 0;
}

function render() {
  const first = Math.max(0, Math.floor((box.scrollTop - box.clientHeight / 2) / step()));
  const end = Math.min(shown.length, Math.ceil((box.scrollTop + 1.5 * box.clientHeight) / step()));
  for (const [place, card] of cards) {
    if (place >= first && place < end) continue;
    card.remove();
    cards.delete(place);
  }
  for (let place = first; place < end; place += 1) if (!cards.has(place)) add(place);
}

function add(place) {
  const finding = findings[shown[place]], row = finding.row;
  const face = thumbnail(row);
  const sure = finding.probability === null ? "" : `${Math.min(99, Math.round(100 * finding.probability))} % wrong`;
  const what = finding.proposal
    ? [`${finding.field}: `, make("s", {}, finding.label || "unknown"), " → ", make("b", {}, finding.proposal)]
    : [make("b", {}, KINDS[finding.kind] ?? finding.kind), finding.field ? ` ${finding.field}: ${finding.label || "unknown"}` : ""];
  const about = make("div", { className: "about" },
    make("p", { className: "what" }, make("span", { className: "rank" }, `${finding.rank}`), make("span", { className: "kind" }, KINDS[finding.kind] ?? finding.kind), " ", ...what, " ", make("span", { className: "sure" }, sure), " ", make("span", { className: "verdict" })),
    make("p", { className: "path" }, faces.path[row] + (finding.faces > 1 ? ` · stands for ${finding.faces} faces` : "")),
    make("p", { className: "evidence", title: finding.evidence }, finding.evidence));
  const near = make("div", { className: "voters" }, ...finding.neighbours.map(voter));
  const card = make("article", { className: "finding", role: "option", id: `finding-${shown[place]}` }, face, about, near);
  card.style.height = `${height}px`;
  card.style.transform = `translateY(${GAP + place * step()}px)`;
  card.dataset.place = place;
  cards.set(place, card);
  redraw(place);
  list.append(card);
}

function thumbnail(row) {
  const element = cell(row);
  element.removeAttribute("id");
  element.removeAttribute("role");
  element.dataset.row = row;
  show(element, row);
  return element;
}

function voter([row, age, similarity]) {
  const text = `${age || "?"} · ${similarity}`;
  if (row < 0) return make("div", { className: "voter none", title: "a face of another set" }, make("span", { className: "caption" }, text));
  const element = thumbnail(row);
  element.classList.add("voter");
  refresh(element, row, { current: false, selected: false });
  element.removeAttribute("aria-selected");
  element.querySelector(".caption").textContent = text;
  element.addEventListener("click", event => { event.stopPropagation(); follow(row); });
  return element;
}

function redraw(place) {
  const card = cards.get(place), finding = findings[shown[place]], row = finding.row;
  refresh(card.querySelector(".cell"), row, { current: false, selected: false });
  card.querySelector(".cell").removeAttribute("aria-selected");
  card.classList.toggle("current", shown[place] === state.finding);
  card.setAttribute("aria-selected", String(state.selected.has(row)));
  const [value, verdict] = verdicts(row)[finding.field] ?? [];
  card.querySelector(".verdict").textContent = verdict === "changed" ? `✎ ${value || "unknown"}` : verdict ? `${verdict === "confirmed" ? "✓" : "✕"} ${verdict}` : "";
}

export function move(dx, dy, extend = false) {
  if (!shown.length) return;
  const from = shown.indexOf(state.finding);
  to(from < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, from + (dy || dx))), extend);
}

export const page = direction => move(0, direction * Math.max(1, Math.floor(box.clientHeight / step())));

export const edge = end => shown.length && to(end ? shown.length - 1 : 0, false);

function to(place, extend) {
  if (!extend) anchor = place;
  state.finding = shown[place];
  state.current = findings[state.finding].row;
  const [low, high] = [Math.min(anchor, place), Math.max(anchor, place)];
  select(extend ? shown.slice(low, high + 1).map(i => findings[i].row) : []);
  reveal(place);
  render();
  box.setAttribute("aria-activedescendant", `finding-${state.finding}`);
}

function reveal(place) {
  const top = GAP + place * step();
  if (top < box.scrollTop) box.scrollTop = top - GAP;
  else if (top + step() > box.scrollTop + box.clientHeight) box.scrollTop = top + step() - box.clientHeight;
}

box.addEventListener("scroll", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(render); });
list.addEventListener("click", event => {
  const card = event.target.closest(".finding");
  if (card) to(Number(card.dataset.place), event.shiftKey);
});
new ResizeObserver(() => {
  if (!box.clientWidth) return;
  layout();
  if (shown.includes(state.finding)) reveal(shown.indexOf(state.finding));
  render();
}).observe(box);
for (const event of ["current", "decisions"]) on(event, () => { for (const place of cards.keys()) redraw(place); });
