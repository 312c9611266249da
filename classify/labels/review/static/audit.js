// The label issues of the audit, by face.

import { get } from "./data.js";
import { state } from "./state.js";

export let issues = [];
const byRow = new Map();

export async function loadIssues() {
  issues = await get("/api/issues");
  issues.forEach((issue, i) => {
    issue.rank = i + 1;
    if (!byRow.has(issue.row)) byRow.set(issue.row, []);
    byRow.get(issue.row).push(issue);
  });
}

export const issuesOf = row => byRow.get(row) ?? [];

const current = () => (state.view === "issues" ? issues[state.issue] : undefined);

// The field of the current issue, empty where there is none.
export const questioned = () => current()?.field ?? "";

// Proposals for a face: the current issue's where it is about this face, else the face's own, the first of each
// field; an issue with gender or age also applies to the other faces that are selected, such as a whole person.
export function proposals(row) {
  const issue = current();
  if (issue?.row === row) return [issue].filter(usable);
  const own = issuesOf(row).filter(usable);
  const first = own.filter((one, i) => own.findIndex(other => other.field === one.field) === i);
  if (first.length || !issue || issue.field === "mask") return first;
  return [issue].filter(usable);
}

const usable = issue => issue.field && issue.proposed_label;
