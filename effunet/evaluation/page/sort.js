// Heads of tables become buttons that sort; without this script the tables are as they were written.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const written = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const orders = column ? ["descending", "ascending"] : ["ascending", "descending"];
      const next = orders[orders.indexOf(head.getAttribute("aria-sort")) + 1];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      let rows = written;
      if (next) {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const key = (row) => row.cells[column].dataset;
        rows = [...written].sort((a, b) => {
          const [one, other] = [key(a), key(b)];
          if (one.name !== undefined) return sign * one.name.localeCompare(other.name);
          const [x, y] = [one.value, other.value];
          if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
          return sign * (Number(x) - Number(y));
        });
      }
      body.append(...rows);
    });
  });
}
