
"use strict";
// The page is whole without this: it adds sorting to the tables, and a filter to the table of all cases.
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort.replace("inf", "Infinity"));
  };
  const compared = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a < b ? -1 : a > b ? 1 : 0;
    if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? 1 : -1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent || "Status";
      button.title = "sort by this column";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("n") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? other : first;
        for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        body.append(...[...body.rows].sort((a, b) => sign * compared(value(a, column), value(b, column))));
      });
    });
  }
  for (const box of document.querySelectorAll("[data-filter]")) {
    const rows = [...box.querySelector("tbody").rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const statuses = [...new Set(rows.map((row) => row.cells[0].textContent.trim()))];
    const tools = document.createElement("div");
    const search = document.createElement("input");
    const choice = document.createElement("select");
    const count = document.createElement("span");
    tools.className = "tools";
    search.type = "search";
    search.placeholder = "part of a case, an output, a type";
    search.setAttribute("aria-label", "filter the cases");
    choice.setAttribute("aria-label", "filter by status");
    choice.append(...["any status", ...statuses].map((text) => new Option(text)));
    count.setAttribute("aria-live", "polite");
    tools.append(search, choice, count);
    box.prepend(tools);
    const update = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        const fits = choice.selectedIndex === 0 || row.cells[0].textContent.trim() === choice.value;
        row.hidden = !(fits && words.every((word) => texts[i].includes(word)));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = `${shown} of ${rows.length}`;
    };
    search.addEventListener("input", update);
    choice.addEventListener("change", update);
    update();
  }
})();
