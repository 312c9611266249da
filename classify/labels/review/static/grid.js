// The contact sheet: only the faces in view are in the document.

import { cell, make, refresh, show } from "./cell.js";
import { go, on, select, state } from "./state.js";

const HEADING = 34, CAPTION = 22, GAP = 6, PADDING = 10;
const SETTLED = 60; // milliseconds without a jump until pictures are asked for

const box = document.getElementById("grid");
const sheet = document.getElementById("sheet");
const title = document.getElementById("group-title");
const cells = new Map(), headings = new Map();
let arrangement = { rows: new Int32Array(), groups: [] };
let places = new Map();
let columns = 1, side = 100, wish = 112;
let anchor = 0, last = -1, timer, frame;

export function setArrangement(next) {
  arrangement = next;
  places = new Map();
  next.rows.forEach((row, position) => places.set(row, position));
  empty();
  layout();
  box.scrollTop = 0;
  anchor = places.get(state.current) ?? 0;
  if (places.has(state.current)) reveal(anchor);
  last = -1;
  render();
}

export function setSize(pixels) {
  wish = pixels;
  const top = state.current;
  empty();
  layout();
  if (places.has(top)) reveal(places.get(top));
  render();
}

function empty() {
  for (const element of [...cells.values(), ...headings.values()]) element.remove();
  cells.clear();
  headings.clear();
}

const lineHeight = () => side + CAPTION + GAP;
const headingHeight = group => (group.title ? HEADING : 0);

function layout() {
  const width = Math.max(1, box.clientWidth - 2 * PADDING);
  columns = Math.max(2, Math.floor((width + GAP) / (wish + GAP)));
  side = Math.floor((width - GAP * (columns - 1)) / columns);
  let top = PADDING;
  for (const group of arrangement.groups) {
    group.top = top;
    group.lines = Math.ceil((group.end - group.start) / columns);
    top += headingHeight(group) + group.lines * lineHeight();
    group.bottom = top;
  }
  sheet.style.height = `${top + PADDING}px`;
}

// Position in groups of the first that ends below a height, or holds a position.
function search(after) {
  let low = 0, high = arrangement.groups.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (after(arrangement.groups[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}

function visible() {
  const above = box.scrollTop - box.clientHeight / 2, below = box.scrollTop + 1.5 * box.clientHeight;
  const positions = [], titles = [];
  for (let i = search(group => group.bottom > above); i < arrangement.groups.length; i += 1) {
    const group = arrangement.groups[i];
    if (group.top > below) break;
    if (group.title) titles.push(group);
    const from = group.top + headingHeight(group);
    const first = Math.max(0, Math.floor((above - from) / lineHeight()));
    const end = Math.min(group.lines, Math.ceil((below - from) / lineHeight()));
    for (let p = group.start + first * columns; p < Math.min(group.end, group.start + end * columns); p += 1) positions.push([p, group]);
  }
  return { positions, titles };
}

function render() {
  const { positions, titles } = visible();
  const keep = new Set(positions.map(([position]) => position));
  for (const [position, element] of cells) if (!keep.has(position)) drop(cells, position, element);
  const keepTitles = new Set(titles);
  for (const [group, element] of headings) if (!keepTitles.has(group)) drop(headings, group, element);
  for (const group of titles) if (!headings.has(group)) addHeading(group);
  for (const [position, group] of positions) if (!cells.has(position)) addCell(position, group);
  const jumped = last >= 0 && Math.abs(box.scrollTop - last) > box.clientHeight;
  last = box.scrollTop;
  head();
  clearTimeout(timer);
  if (jumped && positions.length) timer = setTimeout(pictures, SETTLED);
  else pictures();
}

// The heading of the group at the top, while its own is out of view.
function head() {
  const group = arrangement.groups[search(one => one.bottom > box.scrollTop)];
  title.hidden = box.hidden || !group?.title || box.scrollTop <= group.top;
  if (group) title.textContent = group.title;
}

function drop(map, key, element) {
  element.remove();
  map.delete(key);
}

function addHeading(group) {
  const element = make("h2", { className: "heading" }, group.title);
  element.style.transform = `translateY(${group.top}px)`;
  headings.set(group, element);
  sheet.append(element);
}

function addCell(position, group) {
  const row = arrangement.rows[position], index = position - group.start;
  const element = cell(row);
  element.style.width = `${side}px`;
  element.style.height = `${side + CAPTION}px`;
  const x = PADDING + (index % columns) * (side + GAP);
  const y = group.top + headingHeight(group) + Math.floor(index / columns) * lineHeight();
  element.style.transform = `translate(${x}px, ${y}px)`;
  element.dataset.position = position;
  element.setAttribute("aria-posinset", position + 1);
  element.setAttribute("aria-setsize", arrangement.rows.length);
  cells.set(position, element);
  redraw(position);
  sheet.append(element);
}

function pictures() {
  for (const [position, element] of cells) show(element, arrangement.rows[position]);
}

function redraw(position) {
  const row = arrangement.rows[position];
  refresh(cells.get(position), row, { current: row === state.current, selected: state.selected.has(row) });
}

function groupOf(position) {
  return arrangement.groups[search(group => group.end > position)];
}

function reveal(position) {
  const group = groupOf(position);
  const line = Math.floor((position - group.start) / columns);
  const top = group.top + headingHeight(group) + line * lineHeight();
  const first = line === 0 ? headingHeight(group) : 0;
  if (top - first < box.scrollTop) box.scrollTop = top - first - GAP;
  else if (top + lineHeight() > box.scrollTop + box.clientHeight) box.scrollTop = top + lineHeight() - box.clientHeight + GAP;
}

// Where a key leads from a position: along the line, or to the line above or below, in the next group too.
function step(position, dx, dy) {
  const end = arrangement.rows.length - 1;
  if (!dy) return Math.min(end, Math.max(0, position + dx));
  const groups = arrangement.groups;
  let i = groups.indexOf(groupOf(position));
  const column = (position - groups[i].start) % columns;
  let line = Math.floor((position - groups[i].start) / columns) + dy;
  while (line < 0 && i > 0) line += groups[--i].lines;
  while (line >= groups[i].lines && i < groups.length - 1) line -= groups[i++].lines;
  line = Math.min(groups[i].lines - 1, Math.max(0, line));
  return Math.min(groups[i].end - 1, groups[i].start + line * columns + column);
}

export function move(dx, dy, extend = false) {
  if (!arrangement.rows.length) return;
  const from = places.get(state.current);
  to(from === undefined ? 0 : step(from, dx, dy), extend);
}

export const page = direction => move(0, direction * Math.max(1, Math.floor(box.clientHeight / lineHeight())));

export const edge = end => arrangement.rows.length && to(end ? arrangement.rows.length - 1 : 0, false);

function to(position, extend, keep = false) {
  if (!extend) anchor = position;
  state.current = arrangement.rows[position];
  if (extend) select(arrangement.rows.slice(Math.min(anchor, position), Math.max(anchor, position) + 1));
  else if (keep) go(state.current);
  else select([]);
  reveal(position);
  render();
}

export function open(row) {
  if (places.has(row)) to(places.get(row), false, true);
  else go(row);
}

export const rowsShown = () => arrangement.rows;

box.addEventListener("scroll", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(render); });

sheet.addEventListener("click", event => {
  const element = event.target.closest(".cell");
  if (!element) return;
  const position = Number(element.dataset.position), row = arrangement.rows[position];
  if (event.ctrlKey || event.metaKey) {
    const chosen = new Set(state.selected.size ? state.selected : state.current < 0 ? [] : [state.current]);
    if (!chosen.delete(row)) chosen.add(row);
    anchor = position;
    state.current = row;
    select(chosen);
  } else to(position, event.shiftKey);
});

new ResizeObserver(() => {
  head();
  if (!box.clientWidth) return;
  empty();
  layout();
  if (places.has(state.current)) reveal(places.get(state.current));
  render();
}).observe(box);

on("current", () => {
  for (const position of cells.keys()) redraw(position);
  if (state.current >= 0) box.setAttribute("aria-activedescendant", `face-${state.current}`);
});
on("decisions", () => { for (const position of cells.keys()) redraw(position); });
