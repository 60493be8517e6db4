"use strict";

// A click on the head of a column, or Enter on it, sorts: figures largest first, names from A; again turns it round; a third
// time gives back the order of the page.

function sortKey(cell) {
  const shown = cell.cloneNode(true);
  for (const aside of shown.querySelectorAll(".badge, .data, small, svg")) aside.remove();
  const text = shown.textContent.trim();
  const plain = text.replaceAll("\u2212", "-").replaceAll(",", "");
  const found = /^[<+]?\s*(-?\d+(?:\.\d+)?)/.exec(plain);
  return { text, number: found ? Number(found[1]) : NaN };
}

function makeSortable(table) {
  const [head, body] = [table.tHead?.rows[0], table.tBodies[0]];
  if (!head || !body || body.rows.length < 2) return;
  const first = [...body.rows];
  [...head.cells].forEach((cell, column) => {
    if (!cell.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...cell.childNodes);
    button.addEventListener("click", () => sortBy(head, body, first, column));
    cell.append(button);
  });
}

function sortBy(head, body, first, column) {
  const keys = new Map(first.map((row) => [row, sortKey(row.cells[column])]));
  const numbers = [...keys.values()].filter((key) => !Number.isNaN(key.number)).length;
  const filled = [...keys.values()].filter((key) => key.text && key.text !== "–").length;
  const asNumbers = column > 0 && numbers > 0 && 2 * numbers >= filled;
  const order = asNumbers ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
  const before = head.cells[column].getAttribute("aria-sort") ?? "";
  const now = order[(order.indexOf(before) + 1) % 3];
  for (const cell of head.cells) cell.removeAttribute("aria-sort");
  if (now) head.cells[column].setAttribute("aria-sort", now);
  const sign = now === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    const [one, other] = [keys.get(a), keys.get(b)];
    const [lacks, lacked] = asNumbers ? [Number.isNaN(one.number), Number.isNaN(other.number)] : [!one.text, !other.text];
    if (lacks || lacked) return lacks - lacked; // what is missing stays below, whichever way
    return sign * (asNumbers ? one.number - other.number : one.text.localeCompare(other.text, "en", { numeric: true }));
  };
  body.append(...(now ? [...first].sort(compare) : first));
}

for (const table of document.querySelectorAll(".scroll > table")) makeSortable(table);
