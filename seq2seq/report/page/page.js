// Charts, sortable tables and printing. Knows nothing of what the numbers mean.
"use strict";

async function drawCharts() {
  const { config, specs } = JSON.parse(document.getElementById("chart-data").textContent);
  // `ast` interprets Vega's expressions: no code is made from strings, and the page's policy may forbid it.
  const options = { config, ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true } };
  for (const box of document.querySelectorAll(".chart")) {
    await vegaEmbed(box, specs[box.dataset.figure][box.dataset.panel], options);
  }
  document.documentElement.dataset.drawn = "yes";
}

function sortOnClick(button) {
  const heading = button.parentElement, table = heading.closest("table"), body = table.tBodies[0];
  const numbers = heading.classList.contains("number");
  const value = (row) => {
    const cell = row.cells[heading.cellIndex];
    return numbers ? (cell.dataset.value === "" ? null : Number(cell.dataset.value)) : cell.textContent;
  };
  const compare = (a, b) => (numbers ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  button.addEventListener("click", () => {
    // Numbers come largest first, texts from A to Z; gaps stay at the end either way.
    const now = heading.getAttribute("aria-sort");
    const sign = now === "none" ? (numbers ? -1 : 1) : now === "ascending" ? -1 : 1;
    for (const other of heading.parentElement.cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [value(row), row]);
    rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
    body.append(...rows.map(([, row]) => row));
  });
}

document.querySelectorAll("th button").forEach(sortOnClick);
// On paper all numbers are open, but for the figures with very many (their CSV has them).
addEventListener("beforeprint", () => {
  for (const closed of document.querySelectorAll("details:not([open], .long)")) {
    closed.open = true;
    closed.dataset.printed = "yes";
  }
});
addEventListener("afterprint", () => {
  for (const opened of document.querySelectorAll("details[data-printed]")) {
    opened.open = false;
    delete opened.dataset.printed;
  }
});
drawCharts();
