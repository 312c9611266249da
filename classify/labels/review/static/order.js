// Which faces are shown, in which order, under which headings.

import { faces, number } from "./data.js";
import { stateOf } from "./decisions.js";

const UNKNOWN = "unknown";

// Column to group by -> heading of one of its codes.
const HEADINGS = {
  class: code => `${code}: ${faces.names.class[code]}`,
  person: code => faces.names.person[code],
  age: code => `${faces.names.age[code]} years`,
  source: code => faces.names.source[code],
  mask: code => faces.names.mask[code],
  gender: code => faces.names.gender[code],
};

// Rows that pass: codes of columns by name, a state, and a text in path or person.
export function passing({ codes, state, text }) {
  const wanted = Object.entries(codes);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [];
  for (let row = 0; row < faces.count; row += 1) {
    if (wanted.some(([column, code]) => faces[column][row] !== code)) continue;
    if (state && !ofState(row, state)) continue;
    if (words.length && !matches(row, words)) continue;
    rows.push(row);
  }
  return rows;
}

function ofState(row, state) {
  const found = stateOf(row);
  return state === "open" ? !found : found === state || (state === "confirmed" && found === "earlier");
}

function matches(row, words) {
  const text = `${faces.path[row]} ${faces.names.person[faces.person[row]] ?? ""}`.toLowerCase();
  return words.every(word => text.includes(word));
}

// Rows in order, and groups {title, start, end} of them; unknown labels come last.
export function arrange(rows, by) {
  if (!HEADINGS[by]) return { rows: Int32Array.from(rows), groups: rows.length ? [{ title: "", start: 0, end: rows.length }] : [] };
  const codes = faces[by], last = faces.names[by].length;
  const keys = Float64Array.from(rows, row => (codes[row] < 0 ? last : codes[row]) * faces.count + row).sort();
  const sorted = Int32Array.from(keys, key => key % faces.count);
  const groups = [];
  sorted.forEach((row, i) => {
    const code = codes[row];
    if (!groups.length || groups.at(-1).code !== code) groups.push({ code, start: i });
    groups.at(-1).end = i + 1;
  });
  for (const group of groups) {
    const name = group.code < 0 ? `${by} ${UNKNOWN}` : HEADINGS[by](group.code);
    group.title = `${name} (${number(group.end - group.start)})`;
  }
  return { rows: sorted, groups };
}
