// Size of LoRA's output over the rank, on two logarithmic axes: a flat curve is a scale that suits the regime.
import { axis, chart, stroke } from "./chart.js";
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";

const STROKES = ["LoRA", "rsLoRA"];
const ticks = { tickvals: [0.0001, 0.001, 0.01, 0.1, 1, 10, 100], ticktext: ["0.0001", "0.001", "0.01", "0.1", "1", "10", "100"] };

function signed(slope) {
  const text = Math.abs(slope).toFixed(2);
  return text === "0.00" ? "0.00" : `${slope < 0 ? "−" : "+"}${text}`;
}

function range(table, i) {
  const values = [...row(table.low, i), ...row(table.high, i)].map(Math.log10);
  return [Math.min(...values) - 0.2, Math.max(0, ...values) + 0.2];
}

function band(ranks, low, high, colour) {
  return { x: [...ranks, ...[...ranks].reverse()], y: [...low, ...[...high].reverse()], fill: "toself", fillcolor: colour,
    opacity: 0.16, line: { width: 0 }, mode: "lines", hoverinfo: "skip" };
}

function curves(i, j, table, style) {
  const ones = { x: [1, 256], y: [1, 1], mode: "lines", line: stroke(style.role("reference"), { width: 1.5 }), hoverinfo: "skip" };
  const traces = table.scales.flatMap((name, k) => {
    const drawn = style.variant(STROKES[k]);
    const line = { name, x: table.ranks, y: row(table.size, i, j, k), mode: "lines+markers", line: stroke(drawn),
      marker: { symbol: drawn.marker, size: 8, color: drawn.colour }, hovertemplate: `s = ${name}, r = %{x}: × %{y:.3g}<extra></extra>` };
    return [band(table.ranks, row(table.low, i, j, k), row(table.high, i, j, k), drawn.colour), line];
  });
  const layout = {
    margin: { l: 66, r: 128, t: 26, b: 46 }, height: 330,
    xaxis: axis(style, "rank r (log scale)", { type: "log", range: [-0.06, Math.log10(256) + 0.06], tickvals: table.ranks }),
    yaxis: axis(style, "RMS of s·BAx, over that at r = 1 (log scale)", { type: "log", range: range(table, i), ...ticks }),
  };
  return { key: `${i} ${j}`, traces: [ones, ...traces], layout };
}

function marks(i, j, m, table, style) {
  const r = table.ranks[m];
  const last = table.ranks.length - 1;
  const perScale = table.scales.flatMap((name, k) => {
    const { colour, marker } = style.variant(STROKES[k]);
    const [size, slope] = [row(table.size, i, j, k), row(table.slope, i, j)[k]];
    return [
      { kind: "dot", x: r, y: size[m], colour, symbol: marker, size: 7 },
      { kind: "text", text: `s = ${name}`, x: 256, y: size[last], dx: 14, dy: -3, anchor: "start", colour },
      { kind: "text", text: `size ∝ r^${signed(slope)}`, x: 256, y: size[last], dx: 14, dy: 13, anchor: "start", colour },
    ];
  });
  const values = table.scales.map((name, k) => `${name}: × ${row(table.size, i, j, k)[m].toPrecision(2)}`);
  return [{ kind: "rule", x: r, colour: style.quiet }, ...perScale,
    { kind: "text", text: [`rank ${r}`, ...values].join("  ·  "), x: r, anchor: m > 5 ? "end" : m < 3 ? "start" : "middle", colour: style.text }];
}

function sentence(i, j, table) {
  const slopes = [...row(table.slope, i, j)];
  const flat = Math.abs(slopes[0]) < Math.abs(slopes[1]) ? 0 : 1;
  const source = ["With a random B", "After one SGD step", "After 10 Adam steps"][i];
  const moves = slopes[1 - flat] < 0 ? "shrinks" : "grows";
  return `${source}, on ${table.inputs[j]}, ${table.scales[flat]} comes closest to keeping the output's size `
    + `(∝ r^${signed(slopes[flat])}); with ${table.scales[1 - flat]} it ${moves} as r^${signed(slopes[1 - flat])}.`;
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer: table, style }) => {
    const [i, j, m] = [table.regimes.indexOf(state.regime), table.inputs.indexOf(state.inputs), table.ranks.indexOf(state.r)];
    draw({ ...curves(i, j, table, style), marks: marks(i, j, m, table, style) }, style);
    return { title: sentence(i, j, table) };
  };
});
