// What the server is asked, a few photos at a time.

const AT_ONCE = 4, TRIES = 5;
let running = 0;
const queue = [];

/** An answer of the API, or an error whose message is for the eye. */
export function predict(photo, name) {
  return new Promise((done, failed) => {
    queue.push({ photo, name, done, failed });
    next();
  });
}

export async function about() {
  return await (await send("/about", {})).json();
}

async function next() {
  if (running >= AT_ONCE || !queue.length) return;
  const { photo, name, done, failed } = queue.shift();
  running += 1;
  try {
    done(await ask(photo, name));
  } catch (error) {
    failed(error);
  } finally {
    running -= 1;
    next();
  }
}

async function ask(photo, name) {
  for (let left = TRIES; ; left -= 1) {
    const body = new FormData();
    body.append("photo", photo, name);
    const answer = await send("/predict", { method: "POST", body });
    if (answer.ok) return await answer.json();
    const wait = answer.status === 503 && left > 1 && Number(answer.headers.get("retry-after"));
    if (!wait) throw new Error(await reason(answer));
    await new Promise(done => setTimeout(done, 1000 * wait));
  }
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("the server does not answer");
  }
}

async function reason(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `the server says ${answer.status}`;
  }
}
