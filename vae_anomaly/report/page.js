"use strict";
// Sorting after the pattern "Sortable Table" of the ARIA Authoring Practices Guide, and searching.
// Without this script the page is complete: it only adds the controls.

const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function rowsOf(table) {
  return Array.from(table.tBodies[0].rows);
}

function keyOf(row, column, isNumber) {
  const cell = row.cells[column];
  if (!isNumber) {
    const text = cell.textContent.trim();
    return text === "–" ? "" : text;
  }
  return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
}

function plain(text) {
  return text.toLowerCase().replace(/\s+/g, " ");
}

function textOf(row) {
  const cells = row.cloneNode(true);
  for (const label of cells.querySelectorAll("thead, summary")) label.remove();
  return plain(cells.textContent);
}

function isMissing(key) {
  return key === "" || Number.isNaN(key);
}

function sort(table, head) {
  const isNumber = "number" in head.dataset;
  const isDescending = head.getAttribute("aria-sort") === "ascending";
  const sign = isDescending ? -1 : 1;
  const keyed = rowsOf(table).map((row) => [keyOf(row, head.cellIndex, isNumber), row]);
  keyed.sort(([a], [b]) => {
    if (isMissing(a) || isMissing(b)) return isMissing(a) - isMissing(b);
    return sign * (isNumber ? a - b : order.compare(a, b));
  });
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  table.tBodies[0].append(...keyed.map(([, row]) => row));
  table.parentElement.scrollTop = 0;
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }
}

for (const input of document.querySelectorAll("input[data-search]")) {
  const rows = rowsOf(document.getElementById(input.dataset.search));
  const texts = rows.map(textOf);
  const found = input.parentElement.querySelector("output");
  input.addEventListener("input", () => {
    const wanted = plain(input.value).trim();
    let shown = 0;
    rows.forEach((row, at) => {
      row.hidden = !texts[at].includes(wanted);
      shown += !row.hidden;
    });
    found.textContent = wanted ? `${shown} of ${rows.length} shown` : "";
  });
  input.parentElement.hidden = false;
}
