// Size of LoRA's output over the rank, on two logarithmic axes: a flat curve is a scale that suits the regime.
import { axis, chart, stroke } from "./chart.js";
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";

const STROKES = ["LoRA", "rsLoRA"];
const ticks = { tickvals: [0.0001, 0.001, 0.01, 0.1, 1, 10, 100], ticktext: ["0.0001", "0.001", "0.01", "0.1", "1", "10", "100"] };

function band(ranks, low, high, colour) {
  return { x: [...ranks, ...[...ranks].reverse()], y: [...low, ...[...high].reverse()], fill: "toself", fillcolor: colour,
    opacity: 0.16, line: { width: 0 }, mode: "lines", hoverinfo: "skip" };
}

function curves({ ranks, scales, size, low, high, span }, style) {
  const ones = { x: [1, 256], y: [1, 1], mode: "lines", line: stroke(style.role("reference"), { width: 1.5 }), hoverinfo: "skip" };
  const traces = scales.flatMap((name, k) => {
    const drawn = style.variant(STROKES[k]);
    const line = { name, x: ranks, y: row(size, k), mode: "lines+markers", line: stroke(drawn),
      marker: { symbol: drawn.marker, size: 8, color: drawn.colour }, hovertemplate: `s = ${name}, r = %{x}: × %{y:.3g}<extra></extra>` };
    return [band(ranks, row(low, k), row(high, k), drawn.colour), line];
  });
  const [bottom, top] = [...span].map(Math.log10);
  const layout = {
    margin: { l: 66, r: 128, t: 26, b: 46 }, height: 330,
    xaxis: axis(style, "rank r (log scale)", { type: "log", range: [-0.06, Math.log10(256) + 0.06], tickvals: ranks }),
    yaxis: axis(style, "RMS of s·BAx, over that at r = 1 (log scale)", { type: "log", range: [bottom - 0.2, Math.max(0, top) + 0.2], ...ticks }),
  };
  return { traces: [ones, ...traces], layout };
}

function marks(r, { ranks, scales, size, laws }, style) {
  const [m, last] = [ranks.indexOf(r), ranks.length - 1];
  const perScale = scales.flatMap((name, k) => {
    const [{ colour, marker }, sizes] = [style.variant(STROKES[k]), row(size, k)];
    return [
      { kind: "dot", x: r, y: sizes[m], colour, symbol: marker, size: 7 },
      { kind: "text", text: `s = ${name}`, x: 256, y: sizes[last], dx: 14, dy: -3, anchor: "start", colour },
      { kind: "text", text: `size ∝ ${laws[k]}`, x: 256, y: sizes[last], dx: 14, dy: 13, anchor: "start", colour },
    ];
  });
  const values = scales.map((name, k) => `${name}: × ${row(size, k)[m].toPrecision(2)}`);
  return [{ kind: "rule", x: r, colour: style.quiet }, ...perScale,
    { kind: "text", text: [`rank ${r}`, ...values].join("  ·  "), x: r, anchor: m > 5 ? "end" : m < 3 ? "start" : "middle", colour: style.text }];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer, style }) => {
    const key = `${state.regime} ${state.inputs}`;
    draw({ key, ...curves(answer, style), marks: marks(state.r, answer, style) }, style);
  };
});
