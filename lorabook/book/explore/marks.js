// What moves with a slider (rules, dots, labels), drawn over a chart whose curves stand still: a few nodes of our own are
// painted in a millisecond where plotly needs fifty for a new layout.
import { marker, svg } from "./svg.js";

function along(axis, value) {
  const v = axis.type === "log" ? Math.log10(value) : value;
  const [from, to] = axis.domain ?? [0, 1];
  return from + ((to - from) * (v - axis.range[0])) / (axis.range[1] - axis.range[0]);
}

// Where a panel's data lie in pixels; a panel is "" or "2", …, as in plotly's axis names.
function scales(layout, width, panel) {
  const { l, r, t, b } = layout.margin;
  const [x, y] = [layout[`xaxis${panel}`], layout[`yaxis${panel}`]];
  const [w, h] = [width - l - r, layout.height - t - b];
  const top = t + (1 - (y.domain ?? [0, 1])[1]) * h;
  const bottom = t + (1 - (y.domain ?? [0, 1])[0]) * h;
  return { x: (value) => l + along(x, value) * w, y: (value) => t + (1 - along(y, value)) * h, top, bottom };
}

const KINDS = {
  rule: (mark, s) => svg("line", { x1: s.x(mark.x), x2: s.x(mark.x), y1: s.top, y2: s.bottom, stroke: mark.colour }),
  band: (mark, s) => svg("rect", { x: s.x(mark.from), width: Math.max(0, s.x(mark.to) - s.x(mark.from)), y: s.top,
    height: s.bottom - s.top, fill: mark.colour, opacity: 0.12 }),
  dot: (mark, s) => marker(mark.symbol ?? "circle", s.x(mark.x), s.y(mark.y), mark.size ?? 5, mark.colour),
  text: (mark, s) => svg("text", { x: s.x(mark.x) + (mark.dx ?? 0), y: (mark.y === undefined ? s.top - 6 : s.y(mark.y)) + (mark.dy ?? 0),
    "text-anchor": mark.anchor ?? "middle", "font-size": 12, style: `fill: ${mark.colour}` }, mark.text),
};

const DASH = { dot: "2 4", dash: "8 5", dashdot: "8 4 2 4", longdash: "13 5", longdashdot: "13 4 2 4" };

// A curve that is still growing.
KINDS.path = (mark, s) => svg("path", { fill: "none", stroke: mark.colour, "stroke-width": mark.width ?? 2, opacity: mark.opacity ?? 1,
  "stroke-dasharray": DASH[mark.dash] ?? "none",
  d: mark.y.map((y, i) => `${i ? "L" : "M"}${s.x(mark.x[i]).toFixed(1)},${s.y(y).toFixed(1)}`).join("") });

// Names at the ends of curves in the text's own colour, which can be read where a curve's cannot; pushed apart where the curves end too close to each other, and up again where they would
// leave the chart.
const LINE = 15;
KINDS.labels = (mark, s) => {
  const sorted = mark.items.map((item) => ({ ...item, px: s.x(item.x), py: s.y(item.y) })).sort((a, b) => a.py - b.py);
  sorted.forEach((item, i) => { if (i) item.py = Math.max(item.py, sorted[i - 1].py + LINE); });
  for (let i = sorted.length - 1; i >= 0; i--) {
    sorted[i].py = Math.min(sorted[i].py, i === sorted.length - 1 ? s.bottom : sorted[i + 1].py - LINE);
  }
  return svg("g", {}, ...sorted.flatMap(({ px, py, text, colour }) => [
    svg("line", { x1: px + 3, x2: px + 8, y1: py, y2: py, stroke: colour, "stroke-width": 3 }),
    svg("text", { x: px + 10, y: py + 4, "font-size": 12 }, text)]));
};

export function overlay(holder) {
  const canvas = svg("svg", { class: "lb-marks", "aria-hidden": "true" });
  holder.append(canvas);
  return (marks, layout) => {
    const width = holder.clientWidth;
    canvas.replaceChildren(...marks.map((mark) => KINDS[mark.kind](mark, scales(layout, width, mark.panel ?? ""))));
  };
}
