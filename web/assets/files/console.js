// What the console's pages do beyond links and forms: charts, the times of the
// reader's own zone, and boxes that choose all. Without it every page works.
(() => {
  "use strict";

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const charts = new Map();

  function draw(box) {
    const given = JSON.parse(box.dataset.chart);
    const muted = color("--pico-muted-color");
    const grid = { stroke: color("--pico-muted-border-color"), width: 1 };
    const lines = given.lines.map((line) => {
      const stroke = color("--chart-" + line.color);
      return { label: line.label, stroke, width: 2, fill: stroke + "22", points: { show: false } };
    });
    const options = {
      width: box.clientWidth, height: 176, cursor: { y: false }, legend: { live: true },
      scales: { y: { range: (_, __, most) => [0, Math.max(5, most * 1.1)] } },
      axes: [{ stroke: muted, grid, ticks: grid }, { stroke: muted, grid, ticks: grid, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5] }],
      series: [{}, ...lines],
    };
    charts.get(box)?.destroy();
    charts.set(box, new uPlot(options, [given.times, ...given.lines.map((line) => line.data)], box));
  }

  function drawAll() {
    for (const box of charts.keys()) if (!box.isConnected) { charts.get(box).destroy(); charts.delete(box); }
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  // Times are sent as UTC, and shown in the reader's zone with UTC on hover.
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  function localize(root) {
    for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
      time.title = time.textContent;
      time.textContent = format.format(new Date(time.dateTime));
    }
  }

  function fresh(root) {
    localize(root);
    if (window.uPlot) drawAll();
  }

  document.addEventListener("change", (event) => {
    const name = event.target.dataset?.all;
    if (!name) return;
    event.target.closest("form").querySelectorAll(`input[name="${name}"]`).forEach((box) => { box.checked = event.target.checked; });
  });
  document.addEventListener("focusin", (event) => { if ("select" in event.target.dataset) event.target.select(); });
  document.addEventListener("htmx:afterSwap", (event) => fresh(event.target.isConnected ? event.target.parentNode : document));
  window.addEventListener("resize", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  fresh(document);
})();
