// A face as a small picture with its labels and what was decided.

import { faces, label, picture } from "./data.js";
import { issuesOf } from "./audit.js";
import { stateOf, verdicts, wanted } from "./decisions.js";

export const MARKS = { changed: "✎", confirmed: "✓", rejected: "✕", earlier: "✓" };
const SHORT = { male: "m", female: "f" };
const FIELDS = ["mask", "gender", "age"];

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "role") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

// Labels in short, changed ones marked.
export function caption(row) {
  if (stateOf(row) === "rejected") return [make("span", { className: "rejected" }, "rejected")];
  return FIELDS.flatMap(field => {
    const now = wanted(field, row);
    const state = verdicts(row)[field]?.[1];
    const text = SHORT[now] ?? now;
    if (state === "changed") return [make("b", { className: "new", title: `was ${label(field, row) || "unknown"}` }, text || "?"), " "];
    return text ? [make("span", { className: state ?? "" }, text), " "] : [];
  });
}

export function describe(row) {
  const labels = FIELDS.map(field => wanted(field, row) || `${field} unknown`).join(", ");
  return `${faces.path[row]}: ${labels}${stateOf(row) ? `, ${stateOf(row)}` : ""}`;
}

export function cell(row) {
  const image = make("img", { alt: "", draggable: false, decoding: "async" });
  return make("div", { className: "cell", role: "option", id: `face-${row}` }, image, make("span", { className: "mark" }), make("span", { className: "caption" }));
}

export function refresh(element, row, { current, selected }) {
  const state = stateOf(row);
  element.dataset.state = state;
  element.dataset.found = issuesOf(row).length ? "yes" : "";
  element.classList.toggle("current", current);
  element.setAttribute("aria-selected", String(selected));
  element.setAttribute("aria-label", describe(row));
  element.title = faces.path[row];
  element.querySelector(".mark").textContent = MARKS[state] ?? "";
  element.querySelector(".caption").replaceChildren(...caption(row));
}

export const show = (element, row, size = "small") => {
  const image = element.querySelector("img");
  if (!image.getAttribute("src")) image.src = picture(row, size);
};
