// The side panel: one face large, its labels, what the audit says, its nearest faces and the person's other photos.

import { faces, get, label, named, number, picture, samePerson } from "./data.js";
import { cell, make, refresh, show } from "./cell.js";
import { issuesOf } from "./audit.js";
import { clear, confirm, propose, reject, setLabel, verdicts } from "./decisions.js";
import { on, select, state } from "./state.js";

const PERSON_SHOWN = 60;
const panel = document.getElementById("panel");
const body = document.getElementById("panel-body");
const nearby = new Map();
let follow = () => {};
let drawn = -1;

export function setFollow(open) {
  follow = open;
}

export const isOpen = () => !panel.hidden;

export function toggle(open = panel.hidden) {
  panel.hidden = !open || state.current < 0;
  drawn = -1;
  draw();
}

function draw() {
  if (panel.hidden || state.current < 0) return;
  const row = state.current;
  if (row !== drawn) {
    drawn = row;
    body.replaceChildren(pictures(row), facts(row), labels(row), buttons(), auditIssues(row), near(row), person(row));
    body.scrollTop = 0;
  } else {
    body.querySelector("table").replaceWith(labels(row));
    redrawFaces();
  }
}

function redrawFaces() {
  for (const element of body.querySelectorAll(".cell")) {
    const row = Number(element.dataset.row);
    refresh(element, row, { current: row === state.current, selected: state.selected.has(row) });
  }
}

function pictures(row) {
  const face = make("img", { className: "large", alt: "the face", src: picture(row, "large") });
  const photo = faces.cut[row] ? make("img", { className: "large", alt: "its photo, the face framed", src: picture(row, "photo") }) : null;
  return make("div", { className: "pictures" }, face, photo);
}

function facts(row) {
  const details = ["source", "race"].map(column => named(column, row));
  if (faces.names.set.length > 1) details.push(`set ${named("set", row)}`);
  const name = named("person", row);
  return make("p", { className: "facts" }, make("strong", {}, faces.path[row]), make("br"), [name && `person ${name}`, ...details].filter(Boolean).join(" · "), make("br"), make("code", {}, faces.id[row]));
}

const CHOICES = { mask: ["wear", "incorrect", "normal"], gender: ["male", "female"] };

function labels(row) {
  const lines = ["mask", "gender", "age"].map(field => {
    const [now, verdict] = verdicts(row)[field] ?? [];
    const old = label(field, row) || "unknown";
    const chosen = verdict ? now : label(field, row);
    const change = field === "age" ? [age(chosen)] : CHOICES[field].map(value => choice(field, value, chosen));
    const decision = verdict === "changed" ? make("b", { className: "new" }, now || "unknown") : make("span", { className: verdict ?? "" }, verdict ?? "");
    return make("tr", {}, make("th", { scope: "row" }, field), make("td", {}, old), make("td", {}, decision), make("td", { className: "choices" }, ...change));
  });
  const head = make("tr", {}, ...["", "label", "decision", "set to"].map(text => make("th", { scope: "col" }, text)));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines));
}

function choice(field, value, chosen) {
  return make("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => setLabel(field, value) }, value);
}

function age(chosen) {
  return make("button", { type: "button", onclick: () => document.dispatchEvent(new CustomEvent("ask-age")) }, chosen ? `${chosen} …` : "years …");
}

function buttons() {
  const all = [["right", "a", confirm], ["proposal", "p", propose], ["reject", "r", reject], ["clear", "c", clear]];
  return make("div", { className: "acts" }, ...all.map(([text, key, act]) => make("button", { type: "button", onclick: act, title: `key ${key}` }, `${text} `, make("kbd", {}, key))));
}

function auditIssues(row) {
  const found = issuesOf(row);
  if (!found.length) return make("section", { hidden: true });
  const lines = found.map(one => {
    const what = one.proposed_label ? `${one.field}: ${one.given_label || "unknown"} → ${one.proposed_label}` : one.kind.replace("_", " ");
    const sure = ` (${Math.round(100 * one.probability)} %)`;
    return make("li", {}, make("b", {}, what + sure), ` #${one.rank}. ${one.evidence}`);
  });
  return make("section", { className: "audit" }, make("h3", {}, "Audit"), make("ul", {}, ...lines));
}

function strip(title, rows, notes = []) {
  const items = rows.map((other, i) => {
    const element = cell(other);
    element.removeAttribute("id");
    element.setAttribute("role", "button");
    element.tabIndex = 0;
    element.dataset.row = other;
    refresh(element, other, { current: false, selected: state.selected.has(other) });
    element.removeAttribute("aria-selected");
    if (notes[i] !== undefined) element.append(make("span", { className: "note" }, notes[i]));
    element.addEventListener("click", () => follow(other));
    element.addEventListener("keydown", event => {
      if (event.key !== "Enter") return;
      event.stopPropagation();
      follow(other);
    });
    show(element, other);
    return element;
  });
  return make("section", {}, make("h3", {}, title), make("div", { className: "strip" }, ...items));
}

function near(row) {
  const place = make("section", {}, make("h3", {}, "Nearest faces"), make("p", {}, "searching …"));
  const found = nearby.get(row) ?? get(`/api/near/${row}`);
  nearby.set(row, found);
  if (nearby.size > 200) nearby.delete(nearby.keys().next().value);
  found.then(
    list => place.replaceWith(strip("Nearest faces", list.map(([other]) => other), list.map(([, similarity]) => similarity.toFixed(2)))),
    error => { nearby.delete(row); place.lastChild.textContent = error.message; },
  );
  return place;
}

function person(row) {
  const rows = samePerson(row), name = named("person", row);
  if (!name) return make("section", {}, make("h3", {}, "Person"), make("p", { className: "soft" }, "The dataset does not say who this is."));
  const title = `Person ${name}: ${number(rows.length)} ${rows.length === 1 ? "photo" : "photos"}`;
  const section = strip(title, rows.filter(other => other !== row).slice(0, PERSON_SHOWN));
  if (rows.length > 1) section.firstChild.append(" ", make("button", { type: "button", onclick: () => select(rows) }, "select all ", make("kbd", {}, "w")));
  return section;
}

document.getElementById("panel-close").addEventListener("click", () => toggle(false));
on("current", draw);
on("decisions", draw);
