// The keyboard. Keys with Ctrl, Alt or Meta, and keys in a field or a dialog, are the browser's.

import { clear, confirm, propose, reject, setLabel, undo } from "./decisions.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MASKS = { 1: "wear", 2: "incorrect", 3: "normal" };
const GENDERS = { m: "male", f: "female" };

// Actions of the page by name, see main.js.
export function listen(page) {
  const acts = {
    Enter: page.toggle, " ": page.toggle, Escape: page.leave,
    PageDown: () => page.page(1), PageUp: () => page.page(-1), Home: () => page.edge(false), End: () => page.edge(true),
    a: () => page.decide(confirm), p: () => page.decide(propose), r: () => page.decide(reject), c: () => page.decide(clear),
    g: page.askAge, w: page.person, z: undo, u: undo, "/": page.search, "?": page.help, "+": () => page.zoom(1.5), "-": () => page.zoom(1 / 1.5),
  };
  for (const [key, mask] of Object.entries(MASKS)) acts[key] = () => page.decide(() => setLabel("mask", mask));
  for (const [key, gender] of Object.entries(GENDERS)) acts[key] = () => page.decide(() => setLabel("gender", gender));

  document.addEventListener("keydown", event => {
    const { target, key } = event;
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (target.closest("input, select, textarea, dialog")) {
      if (key === "Escape" && !target.closest("dialog")) {
        event.preventDefault(); // a search field would be emptied without a word
        target.blur();
      }
      return;
    }
    if (target.closest("button, summary, a, [role=tab], [role=button]") && (key === "Enter" || key === " ")) return;
    if (ARROWS[key]) page.move(...ARROWS[key], event.shiftKey);
    else if (acts[key]) acts[key]();
    else return;
    event.preventDefault();
  });
}
