// Talks to the server, and holds the table of faces: a typed array or a list a column.

export const faces = { count: 0, names: {}, command: "", decisions: "" };
const CODES = ["mask", "gender", "band", "class", "age", "person", "source", "race", "set", "cut"];

async function answer(response) {
  const type = response.headers.get("content-type") || "";
  const content = type.startsWith("application/json") ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Error(content.error || `the server answered ${response.status}`);
  return content;
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer: is `maskcls review` still running?");
  }
  return answer(response);
}

export const get = path => ask(path);

export const post = (path, content) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

export async function loadFaces() {
  const table = await get("/api/faces");
  Object.assign(faces, table);
  for (const name of CODES) faces[name] = Int32Array.from(table[name]);
  faces.reviewed = new Set(table.reviewed);
  faces.people = groups(faces.person, faces.names.person.length);
}

// Rows by code, as one list of rows and where each code begins.
function groups(codes, count) {
  const starts = new Int32Array(count + 1);
  for (const code of codes) if (code >= 0) starts[code + 1] += 1;
  for (let i = 0; i < count; i += 1) starts[i + 1] += starts[i];
  const next = starts.slice();
  const sorted = new Int32Array(starts[count]);
  codes.forEach((code, row) => { if (code >= 0) sorted[next[code]++] = row; });
  return { starts, rows: sorted };
}

export function samePerson(row) {
  const code = faces.person[row];
  return code < 0 ? [row] : [...faces.people.rows.subarray(faces.people.starts[code], faces.people.starts[code + 1])];
}

export const named = (column, row) => faces.names[column][faces[column][row]] ?? "";

export const label = (field, row) => named(field, row);

export const picture = (row, size) => `/faces/${faces.id[row]}/${size}`;

export const number = n => n.toLocaleString("en");
