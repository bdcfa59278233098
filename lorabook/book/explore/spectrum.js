// Left: the singular values of ΔW against those of a random matrix. Right: the share of energy that rank r keeps.
import { axis, chart, stroke } from "./chart.js";
import { explorer } from "./explorer.js";
import { percent } from "./numbers.js";

const count = (n) => Array.from({ length: n }, (_, i) => i + 1);

function curve(name, y, colour, panel, format) {
  return { name, x: count(y.length), y, mode: "lines", line: colour, xaxis: `x${panel}`, yaxis: `y${panel}`,
    hovertemplate: `${name}, %{x}: %{y:${format}}<extra></extra>` };
}

const TICKS = { type: "log", tickvals: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] };

function curves(i, table, style) {
  const [update, random] = [stroke(style.role("trainable")), stroke(style.role("frozen"), { dash: "dashdot" })];
  const [sigma, noise] = [table.sigma[i], table.random_sigma[i]];
  const range = [-0.04, Math.log10(sigma.length) + 0.02];
  return {
    key: i,
    traces: [
      curve("random", noise, random, "", ".3f"), curve("ΔW", sigma, update, "", ".3f"),
      curve("random", table.random_kept[i], random, "2", ".0%"), curve("ΔW", table.kept[i], update, "2", ".0%"),
    ],
    layout: {
      margin: { l: 56, r: 12, t: 26, b: 46 },
      xaxis: axis(style, "direction i", { ...TICKS, range, domain: [0, 0.455] }),
      yaxis: axis(style, "σᵢ / ‖ΔW‖", { range: [0, Math.max(sigma[0], noise[0]) * 1.12] }),
      xaxis2: axis(style, "rank r", { ...TICKS, range, domain: [0.545, 1], anchor: "y2" }),
      yaxis2: axis(style, "energy kept", { range: [0, 1.04], tickformat: ".0%", anchor: "x2" }),
    },
  };
}

function marks(i, r, table, style) {
  const [update, random] = [style.role("trainable").colour, style.role("frozen").colour];
  const [sigma, noise, kept, other] = [table.sigma[i], table.random_sigma[i], table.kept[i], table.random_kept[i]];
  const [at, last] = [r - 1, kept.length];
  const text = (words, x, y, colour, more) => ({ kind: "text", text: words, x, y, colour, anchor: "start", ...more });
  const pair = (panel, one, two) => [
    { kind: "rule", x: r, panel, colour: style.quiet },
    { kind: "dot", x: r, y: two[at], panel, colour: random, symbol: "square" },
    { kind: "dot", x: r, y: one[at], panel, colour: update },
  ];
  const missed = percent(Math.sqrt(Math.max(0, 1 - kept[at])));
  return [
    { kind: "band", from: 10 ** -0.04, to: r, colour: update },
    ...pair("", sigma, noise), ...pair("2", kept, other),
    text(`rank ${r}`, r, undefined, style.quiet, { anchor: "middle" }),
    text(`misses ${missed} of ‖ΔW‖`, last, undefined, style.quiet, { panel: "2", anchor: "end" }),
    text("ΔW", 1, sigma[0], update, { dx: 4, dy: -7 }), text("random", 1, noise[0], random, { dx: 4, dy: -7 }),
  ];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state: { layer, r }, answer: table, style }) => {
    const i = table.layers.indexOf(layer);
    const rank = Math.min(r, table.sigma[i].length);
    draw({ ...curves(i, table, style), marks: marks(i, rank, table, style) }, style);
    const [d_out, d_in] = table.shapes[i];
    return { title: `Rank ${r} keeps ${percent(table.kept[i][rank - 1])} of the energy of ΔW in ${layer} (${d_out} × ${d_in}); `
      + `of a random matrix of its shape and norm it would keep ${percent(table.random_kept[i][rank - 1])}.` };
  };
});
