// What htmx does not do by itself: parts that stay as they are, arrow keys in tables of builds, and a word when the farm does not answer.
"use strict";
(function () {
  const away = document.getElementById("away");
  document.addEventListener("htmx:error", function () { away.hidden = false; });
  document.addEventListener("htmx:after:request", function (event) {
    const response = event.detail && event.detail.ctx && event.detail.ctx.response;
    away.hidden = Boolean(response && response.status < 400);
  });

  // Of a long page only what has changed is sent again: what is marked so stays as it is.
  window.htmx.registerExtension("same", {
    htmx_before_morph_node: function (element, detail) {
      return !(detail.newNode instanceof Element && detail.newNode.hasAttribute("data-same"));
    },
  });

  // Tab enters a table of builds once and arrows move in it; without a script, Tab goes to every build.
  function enter(cell) {
    for (const other of cell.closest("table").querySelectorAll("a.cell[tabindex='0']")) other.tabIndex = -1;
    cell.tabIndex = 0;
  }
  function prepare() {
    for (const table of document.querySelectorAll(".matrix table")) {
      const cells = table.querySelectorAll("a.cell:not([tabindex])");
      const entered = table.querySelector("a.cell[tabindex='0']");
      for (const cell of cells) cell.tabIndex = -1;
      if (!entered && cells.length) cells[0].tabIndex = 0;
    }
  }
  const steps = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity]};
  function next(cell, down, right) {
    const column = cell.parentNode.cellIndex;
    if (down) {
      let row = cell.closest("tr");
      while ((row = down > 0 ? row.nextElementSibling : row.previousElementSibling)) {
        const found = row.cells[column].querySelector("a.cell");
        if (found) return found;
      }
      return null;
    }
    const row = Array.from(cell.closest("tr").querySelectorAll("a.cell"));
    return row[Math.min(row.length - 1, Math.max(0, row.indexOf(cell) + right))];
  }
  document.addEventListener("keydown", function (event) {
    const cell = event.target.closest && event.target.closest("a.cell");
    const step = steps[event.key];
    if (!cell || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const found = next(cell, step[0], step[1]);
    if (found) found.focus();
  });
  document.addEventListener("focusin", function (event) {
    const cell = event.target.closest && event.target.closest(".matrix a.cell");
    if (cell) enter(cell);
  });
  document.addEventListener("htmx:after:swap", prepare);
  prepare();
})();
