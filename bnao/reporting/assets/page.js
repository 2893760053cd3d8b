// Draws the charts, sorts the tables, and shows the cell of the genotype that is chosen in any of them.
(async () => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const specs = JSON.parse(byId("specs").textContent);
  const views = new Map();
  let cells = {};
  let chosen = "";

  // --- colours of the charts, light and dark

  const themes = {
    light: { ink: "#1b1f24", soft: "#59636e", line: "#d8dee4", faint: "#eaeef2" },
    dark: { ink: "#e6e9ed", soft: "#a3adb8", line: "#4a5562", faint: "#262e38" },
  };

  function config(theme) {
    const { ink, soft, line, faint } = themes[theme];
    const font = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";
    const text = { labelColor: soft, titleColor: ink, labelFontSize: 12, titleFontSize: 12.5, titleFontWeight: 500 };
    return {
      background: "transparent", font,
      axis: { ...text, gridColor: faint, domainColor: line, tickColor: line, titlePadding: 8, labelOverlap: true },
      legend: { ...text, symbolOpacity: 1, symbolSize: 90 },
      view: { stroke: null },
    };
  }

  // --- what is pointed at

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);

  function pointAt(handler, event, item, value) {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    tip.textContent = typeof value === "object" ? Object.entries(value).map(([k, v]) => `${k}: ${v}`).join("\n") : String(value);
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - width - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - height - 8)}px`;
  }

  // --- charts

  async function draw(theme) {
    for (const element of document.querySelectorAll("[data-chart]")) {
      views.get(element)?.finalize();
      const { spec } = vegaLite.compile({ ...specs[element.dataset.chart], description: element.dataset.about }, { config: config(theme) });
      const view = new vega.View(vega.parse(spec), { renderer: "svg", container: element, hover: true });
      views.set(element, view);
      view.tooltip(pointAt);
      view.addEventListener("click", (event, item) => {
        if (item?.datum?.id in cells) choose(item.datum.id);
      });
      signal(view);
      await view.runAsync();
    }
  }

  function signal(view) {
    // only charts of genotypes have the signal
    if ("chosen" in (view.getState().signals ?? {})) view.signal("chosen", chosen);
  }

  // --- the chosen genotype

  function drawing(id) {
    // ids within the drawing are none, so that the same one may stand twice in a page
    return new DOMParser().parseFromString(cells[id].svg, "image/svg+xml").documentElement;
  }

  function choose(id) {
    chosen = id;
    for (const row of document.querySelectorAll("tr[data-genotype]")) {
      if (!row.classList.toggle("chosen", row.dataset.genotype === id)) continue;
      // within its table alone: the page stays where its reader is
      const box = row.closest(".scroll");
      box.scrollTop = row.offsetTop - box.clientHeight / 2;
    }
    for (const view of views.values()) {
      signal(view);
      view.runAsync();
    }
    byId("chosen").hidden = id === "";
    if (id === "") return;
    byId("chosen-id").textContent = id;
    byId("chosen-lines").replaceChildren(...cells[id].lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
    byId("chosen-text").textContent = cells[id].text;
    byId("chosen-drawing").replaceChildren(drawing(id));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.choose");
    const id = button?.dataset.genotype ?? button?.closest("tr")?.dataset.genotype;
    if (id in cells) choose(id);
  });
  byId("close").addEventListener("click", () => choose(""));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen) choose("");
  });

  // --- tables

  function compare(a, b) {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  }

  for (const head of document.querySelectorAll("th")) {
    head.querySelector("button").addEventListener("click", () => {
      const body = head.closest("table").tBodies[0];
      const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
      const order = (row) => row.cells[head.cellIndex].dataset.order;
      // what has no value comes last either way
      const rows = [...body.rows].sort((a, b) => compare(order(a), order(b)) * (order(a) === undefined || order(b) === undefined ? 1 : turn));
      body.append(...rows);
    });
  }

  // --- light and dark, as the system says until the reader does

  const system = matchMedia("(prefers-color-scheme: dark)");
  let theme = system.matches ? "dark" : "light";

  function show(next) {
    theme = next;
    document.documentElement.dataset.theme = theme;
    byId("theme").setAttribute("aria-pressed", String(theme === "dark"));
    return draw(theme);
  }

  byId("theme").addEventListener("click", () => show(theme === "dark" ? "light" : "dark"));
  system.addEventListener("change", (event) => show(event.matches ? "dark" : "light"));
  document.documentElement.dataset.theme = theme;

  // --- raw numbers

  byId("download")?.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([byId("raw").textContent], { type: "application/json" }));
    Object.assign(document.createElement("a"), { href: url, download: "bnao-report.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });

  // --- all cells, which are compressed

  const bytes = Uint8Array.from(atob(byId("cells").textContent), (each) => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  cells = JSON.parse(await new Response(stream).text());
  for (const element of document.querySelectorAll("[data-draw]")) element.replaceChildren(drawing(element.dataset.draw));
  await show(theme);
  document.documentElement.dataset.drawn = "yes";
})();
