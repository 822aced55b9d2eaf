// Charts: drawn with uPlot from the table that comes with each, in place of the server's drawing, for a
// readout under the pointer and a sharp picture at any width.
"use strict";

// color resolves a class's colour in the present theme.
function color(name) {
  const probe = document.createElement("span");
  probe.className = name;
  probe.hidden = true;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function draw(figure) {
  const table = figure.querySelector("table.data");
  const plot = figure.querySelector(".plot");
  const readout = figure.querySelector(".readout");
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells].slice(1, -1);
  const days = rows.map((row) => row.dataset.day);
  const counts = heads.map((_, i) => rows.map((row) => Number(row.cells[i + 1].textContent)));
  // Stacked: each series is drawn from the ground to its top, the highest first.
  const tops = [];
  for (const [i, list] of counts.entries()) tops.push(list.map((n, day) => n + (i ? tops[i - 1][day] : 0)));
  const order = heads.map((_, i) => heads.length - 1 - i).filter((i) => counts[i].some((n) => n > 0));
  const text = color("axis-text");
  const grid = color("axis-grid");
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const series = order.map((i) => {
    const fill = color("swatch " + heads[i].className);
    return { label: heads[i].textContent, fill, stroke: fill, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 40] }) };
  });
  const describe = (day) => {
    const parts = heads.map((head, i) => [counts[i][day], head.textContent]).filter(([n]) => n > 0).map(([n, name]) => `${name} ${n}`);
    return `${days[day]}: ${parts.length ? parts.join(", ") : "none"}`;
  };
  const chart = new uPlot({
    width: plot.clientWidth, height: 220, legend: { show: false }, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "Etc/UTC"),
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { range: (u, min, max) => [min - 43200, max + 43200] }, y: { range: (u, min, max) => [0, Math.max(1, max) * 1.05] } },
    axes: [{ ...axis, grid: { show: false }, values: (u, at) => at.map((ts) => new Date(ts * 1e3).toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: "UTC" })), incrs: [86400, 7 * 86400, 14 * 86400], space: 60, size: 30 },
      { ...axis, label: "patterns", labelSize: 18, labelFont: axis.font, size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6] }],
    series: [{}, ...series],
    hooks: { setCursor: [(u) => { readout.textContent = u.cursor.idx == null ? "Point at a day for its numbers; click for its patterns." : describe(u.cursor.idx); }] },
  }, [days.map((day) => Date.parse(day + "T00:00:00Z") / 1e3), ...order.map((i) => tops[i])], plot);
  plot.querySelector(".drawing").hidden = true;
  plot.querySelector(".drawing").classList.add("replaced");
  readout.hidden = false;
  chart.over.addEventListener("click", () => {
    const link = chart.cursor.idx == null ? null : rows[chart.cursor.idx].querySelector("a");
    if (link) location.assign(link.href);
  });
  return chart;
}

if (window.uPlot) {
  const charts = new Map();
  const redraw = () => {
    for (const figure of document.querySelectorAll("figure.chart")) {
      charts.get(figure)?.destroy();
      charts.set(figure, draw(figure));
    }
  };
  redraw();
  document.addEventListener("themechange", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
}
