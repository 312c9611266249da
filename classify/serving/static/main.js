// Photos in, cards out.

import { about, predict } from "./ask.js";
import { camera } from "./camera.js";
import { makeCard } from "./card.js";

const by = id => document.getElementById(id);
const cards = [];
let limits = null;

async function add(photo) {
  const name = photo.name || "photo";
  const made = makeCard(photo, name);
  cards.push(made);
  by("answers").prepend(made.card);
  by("clear").hidden = false;
  try {
    if (limits && photo.size > limits.photo_bytes) throw new Error(`larger than ${limits.photo_bytes / 2 ** 20} MiB`);
    made.answered(await predict(photo, name));
  } catch (error) {
    made.failed(error.message);
  }
}

function say(message) {
  by("message").textContent = message;
  by("message").hidden = !message;
}

function addAll(files) {
  say("");
  for (const file of files) add(file);
}

by("choose").addEventListener("click", () => by("files").click());
by("files").addEventListener("change", event => {
  addAll(event.target.files);
  event.target.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, event => {
    event.preventDefault();
    by("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", event => {
  if (!event.relatedTarget) by("drop").classList.remove("over");
});
document.addEventListener("drop", event => {
  event.preventDefault();
  by("drop").classList.remove("over");
  addAll(event.dataTransfer.files);
});
document.addEventListener("paste", event => addAll(event.clipboardData.files));
by("clear").addEventListener("click", () => {
  for (const made of cards.splice(0)) {
    made.card.remove();
    made.gone();
  }
  by("clear").hidden = true;
});
camera(add, say);

try {
  limits = await about();
  by("about").textContent = `maskcls ${limits.version}; the age is voted by the ${limits.voters} nearest of ${limits.gallery_faces.toLocaleString("en")} ${limits.prototypes ? "prototypes" : "faces"}`;
} catch (error) {
  say(error.message);
}
