// Where the person is: the view, the current face, the selected faces. Whoever shows it listens.

export const state = { view: "faces", current: -1, issue: -1, selected: new Set() };

const listeners = new Map();

export function on(event, listener) {
  if (!listeners.has(event)) listeners.set(event, []);
  listeners.get(event).push(listener);
}

export function emit(event, detail) {
  for (const listener of listeners.get(event) ?? []) listener(detail);
}

export function go(row) {
  state.current = row;
  emit("current");
}

export function select(rows) {
  state.selected = new Set(rows);
  emit("current");
}

// The faces that a key is about: those selected, or the current one.
export function targets() {
  if (state.selected.size) return [...state.selected];
  return state.current < 0 ? [] : [state.current];
}

let timer;
export function notify(text, bad = false) {
  const line = document.getElementById("message");
  line.textContent = text;
  line.classList.toggle("bad", bad);
  line.hidden = !text;
  clearTimeout(timer);
  if (!bad) timer = setTimeout(() => { line.hidden = true; }, 4000);
}
