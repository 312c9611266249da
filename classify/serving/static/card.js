// The card of one photo with its answer.

const WORDS = { wear: "mask worn", incorrect: "mask worn wrongly", normal: "no mask", "<30": "under 30", ">=60": "60 or older" };
const word = name => WORDS[name] ?? name;
const template = document.getElementById("card");

/** A card that waits for its answer; `answered` and `failed` fill it, `gone` lets its picture go. */
export function makeCard(photo, name) {
  const card = template.content.firstElementChild.cloneNode(true);
  const find = selector => card.querySelector(selector);
  const image = find("img"), url = URL.createObjectURL(photo);
  image.src = url;
  image.alt = name;
  image.addEventListener("error", () => find("figure").replaceChildren(text("p", "no picture", "soft")));
  find("h2").textContent = name;
  find(".answer").textContent = "looking …";
  card.classList.add("waiting");

  function failed(reason) {
    card.classList.remove("waiting");
    card.dataset.status = "unreadable";
    find(".answer").textContent = "No answer";
    note(reason);
  }

  function answered(answer) {
    card.classList.remove("waiting");
    const faces = [answer, ...answer.other_faces];
    const boxes = faces.map((face, number) => frame(face, number, faces.length)).filter(Boolean);
    const choose = number => {
      boxes.forEach((box, other) => box.setAttribute("aria-pressed", other === number));
      show(faces[number]);
    };
    card.classList.toggle("several", faces.length > 1);
    if (faces.length > 1) boxes.forEach((box, number) => box.addEventListener("click", () => choose(number)));
    find(".picture").append(...boxes);
    choose(0);
  }

  function show(answer) {
    card.dataset.status = answer.status;
    find(".answer").textContent = headline(answer);
    note(answer.reason);
    find(".years").textContent = answer.age === null ? "" : `about ${round(answer.age)} years, 80 % between ${round(answer.age_low)} and ${round(answer.age_high)}`;
    find(".bars").replaceChildren(...bars(answer));
    find("details").hidden = !answer.voters.length;
    if (answer.voters.length) evidence(answer);
  }

  function note(reason) {
    find(".note").textContent = reason || "";
    find(".note").hidden = !reason;
  }

  /** The box of a face on its picture; a button with its number where there are several. */
  function frame({ face, ...answer }, number, count) {
    if (!face || (face.how !== "detect" && count === 1)) return null;
    const [x0, y0, x1, y1] = face.box, box = document.createElement(count > 1 ? "button" : "span");
    box.className = "box";
    box.hidden = true;
    if (count > 1) {
      box.type = "button";
      box.textContent = number + 1;
      box.setAttribute("aria-label", `Face ${number + 1} of ${count}: ${headline(answer)}`);
    }
    const place = () => {
      const { naturalWidth: width, naturalHeight: height } = image;
      if (!width) return;
      const share = (value, whole) => `${100 * Math.min(1, Math.max(0, value / whole))}%`;
      box.style.left = share(x0, width);
      box.style.top = share(y0, height);
      box.style.right = share(width - x1, width);
      box.style.bottom = share(height - y1, height);
      box.hidden = false;
    };
    if (image.complete) place(); else image.addEventListener("load", place, { once: true });
    return box;
  }

  function evidence(answer) {
    const share = answer.voters.reduce((sum, voter) => sum + voter.weight, 0);
    find("summary").textContent = `Who voted on the age: the nearest ${answer.voters.length} of ${answer.voters_in_all}, ${percent(share)} of the vote`;
    find("tbody").replaceChildren(...answer.voters.map(voter => {
      const row = document.createElement("tr");
      row.append(...[voter.age, percent(voter.weight), voter.similarity.toFixed(3), voter.people ? `prototype of ${voter.people} people` : voter.id].map(cell => text("td", cell)));
      return row;
    }));
  }

  return { card, answered, failed, gone: () => URL.revokeObjectURL(url) };
}

function headline(answer) {
  if (answer.status === "no_face") return "No face found";
  if (answer.status === "unreadable") return "No answer";
  const words = [answer.mask, answer.gender, answer.age_band].filter(Boolean).map(word).join(" · ");
  return answer.status === "unsure" ? `unsure: ${words}` : words;
}

function bars(answer) {
  const cells = [];
  for (const [task, shares] of Object.entries(answer.probabilities)) {
    if (cells.length) cells.push(text("span", "", "gap"));
    for (const [name, p] of Object.entries(shares)) {
      const top = name === answer[task] ? " top" : "", bar = document.createElement("i"), part = document.createElement("b");
      part.style.width = `${100 * p}%`;
      bar.append(part);
      cells.push(text("span", word(name), top), bar, text("span", percent(p), "p" + top));
    }
  }
  return cells;
}

function text(tag, content, kind = "") {
  const made = document.createElement(tag);
  made.textContent = content;
  made.className = kind.trim();
  return made;
}

const percent = share => `${(100 * share).toFixed(share && share < 1 && (share < 0.1 || share > 0.99) ? 1 : 0)} %`;
const round = years => Math.round(years);
