// The issues of the audit, the likeliest first; only those in view are in the document.

import { faces } from "./data.js";
import { cell, make, refresh, show } from "./cell.js";
import { issues } from "./audit.js";
import { verdicts } from "./decisions.js";
import { on, select, state } from "./state.js";

const GAP = 8;
const KINDS = { label: "label", person: "person", copies: "copies", no_face: "no face", blurred: "blurred", swapped: "swapped" };
const box = document.getElementById("issues");
const list = document.getElementById("issues-list");
const cards = new Map();
let shown = [], height = 150, anchor = 0, frame;
let follow = () => {};

const step = () => height + GAP;

export function setFollow(open) {
  follow = open;
}

// Show the issues that pass: a set of rows, and a kind or nothing.
export function setIssues(rows, kind) {
  shown = issues.map((_, i) => i).filter(i => rows.has(issues[i].row) && (!kind || issues[i].kind === kind));
  anchor = Math.max(0, shown.indexOf(state.issue));
  state.issue = shown[anchor] === state.issue ? state.issue : -1;
  layout();
  box.scrollTop = 0;
  render();
}

export const kinds = () => [...new Set(issues.map(one => one.kind))].map(kind => [kind, KINDS[kind] ?? kind]);

function layout() {
  for (const card of cards.values()) card.remove();
  cards.clear();
  height = box.clientWidth < 980 ? 240 : 150; // as in the style sheet
  list.style.height = `${GAP + shown.length * step()}px`;
  document.getElementById("no-issues").hidden = shown.length > 0;
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
  const issue = issues[shown[place]], row = issue.row;
  const face = thumbnail(row);
  const sure = `${Math.min(99, Math.round(100 * issue.probability))} % wrong`;
  const what = issue.proposed_label
    ? [`${issue.field}: `, make("s", {}, issue.given_label || "unknown"), " → ", make("b", {}, issue.proposed_label)]
    : [make("b", {}, KINDS[issue.kind] ?? issue.kind), issue.field ? ` ${issue.field}: ${issue.given_label || "unknown"}` : ""];
  const about = make("div", { className: "about" },
    make("p", { className: "what" }, make("span", { className: "rank" }, `${issue.rank}`), make("span", { className: "kind" }, KINDS[issue.kind] ?? issue.kind), " ", ...what, " ", make("span", { className: "sure" }, sure), " ", make("span", { className: "verdict" })),
    make("p", { className: "path" }, faces.path[row] + (issue.faces > 1 ? ` · stands for ${issue.faces} faces` : "")),
    make("p", { className: "evidence", title: issue.evidence }, issue.evidence));
  const near = make("div", { className: "voters" }, ...issue.neighbours.map(voter));
  const card = make("article", { className: "issue", role: "option", id: `issue-${shown[place]}` }, face, about, near);
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
  const card = cards.get(place), issue = issues[shown[place]], row = issue.row;
  refresh(card.querySelector(".cell"), row, { current: false, selected: false });
  card.querySelector(".cell").removeAttribute("aria-selected");
  card.classList.toggle("current", shown[place] === state.issue);
  card.setAttribute("aria-selected", String(state.selected.has(row)));
  const [value, verdict] = verdicts(row)[issue.field] ?? [];
  card.querySelector(".verdict").textContent = verdict === "changed" ? `✎ ${value || "unknown"}` : verdict ? `${verdict === "confirmed" ? "✓" : "✕"} ${verdict}` : "";
}

export function move(dx, dy, extend = false) {
  if (!shown.length) return;
  const from = shown.indexOf(state.issue);
  to(from < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, from + (dy || dx))), extend);
}

export const page = direction => move(0, direction * Math.max(1, Math.floor(box.clientHeight / step())));

export const edge = end => shown.length && to(end ? shown.length - 1 : 0, false);

function to(place, extend) {
  if (!extend) anchor = place;
  state.issue = shown[place];
  state.current = issues[state.issue].row;
  const [low, high] = [Math.min(anchor, place), Math.max(anchor, place)];
  select(extend ? shown.slice(low, high + 1).map(i => issues[i].row) : []);
  reveal(place);
  render();
  box.setAttribute("aria-activedescendant", `issue-${state.issue}`);
}

function reveal(place) {
  const top = GAP + place * step();
  if (top < box.scrollTop) box.scrollTop = top - GAP;
  else if (top + step() > box.scrollTop + box.clientHeight) box.scrollTop = top + step() - box.clientHeight;
}

box.addEventListener("scroll", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(render); });
list.addEventListener("click", event => {
  const card = event.target.closest(".issue");
  if (card) to(Number(card.dataset.place), event.shiftKey);
});
new ResizeObserver(() => {
  if (!box.clientWidth) return;
  layout();
  if (shown.includes(state.issue)) reveal(shown.indexOf(state.issue));
  render();
}).observe(box);
for (const event of ["current", "decisions"]) on(event, () => { for (const place of cards.keys()) redraw(place); });
