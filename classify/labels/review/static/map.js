// The embedding's first two principal components: a dot a face, coloured by a label.

import { faces, get, number, picture } from "./data.js";
import { describe } from "./cell.js";
import { stateOf } from "./decisions.js";
import { on, state } from "./state.js";

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#9a8f00"];
const UNKNOWN = "#9aa3b0";
const STATES = ["changed", "confirmed", "rejected", "earlier"];
const MARGIN = 24, REACH = 12, STEPS = 4000;

const box = document.getElementById("map");
const canvas = document.getElementById("map-canvas");
const pen = canvas.getContext("2d");
const hint = document.getElementById("map-hint");
const colour = document.getElementById("map-colour");
let plane, loading, rows = [], view = { scale: 1, x: 0, y: 0 }, drag, follow = () => {};

export function setFollow(open) {
  follow = open;
}

export async function setRows(next) {
  rows = next;
  loading ??= get("/api/map");
  plane = await loading;
  const [x, y] = plane.explained.map(share => `${(100 * share).toFixed(1)} %`);
  document.getElementById("map-about").textContent = `FaceNet's embedding: the two principal components explain ${x} and ${y} of its variance. Wheel or + and − zoom, drag moves.`;
  draw();
}

function code(row) {
  if (colour.value === "state") return STATES.indexOf(stateOf(row));
  return faces[colour.value][row];
}

const names = () => (colour.value === "state" ? STATES : faces.names[colour.value]);

function place(row) {
  const width = box.clientWidth - 2 * MARGIN, height = box.clientHeight - 2 * MARGIN;
  return [MARGIN + view.x + (view.scale * width * plane.x[row]) / STEPS, MARGIN + view.y + view.scale * height * (1 - plane.y[row] / STEPS)];
}

function draw() {
  if (!plane || !box.clientWidth) return;
  const ratio = devicePixelRatio || 1;
  canvas.width = box.clientWidth * ratio;
  canvas.height = box.clientHeight * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const size = rows.length > 20000 ? 2 : rows.length > 2000 ? 3 : 5;
  const counts = new Map();
  pen.globalAlpha = rows.length > 2000 ? 0.7 : 0.9;
  for (const row of rows) {
    const one = code(row);
    counts.set(one, (counts.get(one) ?? 0) + 1);
  }
  for (const one of [...counts.keys()].sort((a, b) => a - b)) {
    pen.fillStyle = one < 0 ? UNKNOWN : COLOURS[one % COLOURS.length];
    for (const row of rows) {
      if (code(row) !== one) continue;
      const [x, y] = place(row);
      pen.fillRect(x - size / 2, y - size / 2, size, size);
    }
  }
  ring();
  legend(counts);
}

function ring() {
  if (state.current < 0) return;
  const [x, y] = place(state.current);
  pen.globalAlpha = 1;
  pen.lineWidth = 2.5;
  pen.strokeStyle = getComputedStyle(box).color;
  pen.beginPath();
  pen.arc(x, y, 8, 0, 2 * Math.PI);
  pen.stroke();
}

function legend(counts) {
  const items = [...counts].sort(([a], [b]) => (a < 0) - (b < 0) || a - b).map(([one, count]) => {
    const item = document.createElement("li"), dot = document.createElement("i");
    dot.style.background = one < 0 ? UNKNOWN : COLOURS[one % COLOURS.length];
    item.append(dot, `${one < 0 ? (colour.value === "state" ? "open" : "unknown") : names()[one]} (${number(count)})`);
    return item;
  });
  document.getElementById("map-legend").replaceChildren(...items);
}

function nearest(event) {
  if (!plane) return -1;
  const bounds = canvas.getBoundingClientRect();
  const mouse = [event.clientX - bounds.left, event.clientY - bounds.top];
  let best = -1, least = REACH ** 2;
  for (const row of rows) {
    const [x, y] = place(row);
    const distance = (x - mouse[0]) ** 2 + (y - mouse[1]) ** 2;
    if (distance < least) [best, least] = [row, distance];
  }
  return best;
}

function hover(row) {
  hint.hidden = row < 0;
  canvas.classList.toggle("over", row >= 0);
  if (row < 0) return;
  const [x, y] = place(row);
  const image = hint.querySelector("img"), source = picture(row, "small");
  if (image.getAttribute("src") !== source) image.src = source;
  hint.querySelector("span").textContent = describe(row);
  hint.style.left = `${Math.min(x + 14, box.clientWidth - 180)}px`;
  hint.style.top = `${Math.min(y + 14, box.clientHeight - 220)}px`;
}

export function zoom(factor, x = box.clientWidth / 2, y = box.clientHeight / 2) {
  const scale = Math.min(60, Math.max(1, view.scale * factor)), change = scale / view.scale;
  view = { scale, x: x - MARGIN - (x - MARGIN - view.x) * change, y: y - MARGIN - (y - MARGIN - view.y) * change };
  if (scale === 1) view = { scale, x: 0, y: 0 };
  hover(-1);
  draw();
}

canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const bounds = canvas.getBoundingClientRect();
  zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - bounds.left, event.clientY - bounds.top);
}, { passive: false });
canvas.addEventListener("pointerdown", event => {
  drag = { x: event.clientX, y: event.clientY, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", event => {
  if (!drag) return hover(nearest(event));
  const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
  if (!drag.moved && Math.hypot(dx, dy) < 4) return undefined;
  view = { ...view, x: view.x + dx, y: view.y + dy };
  drag = { x: event.clientX, y: event.clientY, moved: true };
  hover(-1);
  return draw();
});
canvas.addEventListener("pointerup", event => {
  const row = drag && !drag.moved ? nearest(event) : -1;
  drag = undefined;
  if (row >= 0) follow(row);
});
canvas.addEventListener("pointercancel", () => { drag = undefined; });
canvas.addEventListener("pointerleave", () => hover(-1));
colour.addEventListener("input", draw);
new ResizeObserver(draw).observe(box);
on("current", draw);
on("decisions", draw);
