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

function curves({ sigma, random_sigma, energy, random_energy }, style) {
  const [update, random] = [stroke(style.role("trainable")), stroke(style.role("frozen"), { dash: "dashdot" })];
  const range = [-0.04, Math.log10(sigma.length) + 0.02];
  return {
    traces: [
      curve("random", random_sigma, random, "", ".3f"), curve("ΔW", sigma, update, "", ".3f"),
      curve("random", random_energy, random, "2", ".0%"), curve("ΔW", energy, update, "2", ".0%"),
    ],
    layout: {
      margin: { l: 56, r: 12, t: 26, b: 46 },
      xaxis: axis(style, "direction i", { ...TICKS, range, domain: [0, 0.455] }),
      yaxis: axis(style, "σᵢ / ‖ΔW‖", { range: [0, Math.max(sigma[0], random_sigma[0]) * 1.12] }),
      xaxis2: axis(style, "rank r", { ...TICKS, range, domain: [0.545, 1], anchor: "y2" }),
      yaxis2: axis(style, "energy kept", { range: [0, 1.04], tickformat: ".0%", anchor: "x2" }),
    },
  };
}

function marks({ sigma, random_sigma, energy, random_energy, rank, missed }, style) {
  const [update, random] = [style.role("trainable").colour, style.role("frozen").colour];
  const text = (words, x, y, colour, more) => ({ kind: "text", text: words, x, y, colour, anchor: "start", ...more });
  const pair = (panel, one, two) => [
    { kind: "rule", x: rank, panel, colour: style.quiet },
    { kind: "dot", x: rank, y: two[rank - 1], panel, colour: random, symbol: "square" },
    { kind: "dot", x: rank, y: one[rank - 1], panel, colour: update },
  ];
  return [
    { kind: "band", from: 10 ** -0.04, to: rank, colour: update },
    ...pair("", sigma, random_sigma), ...pair("2", energy, random_energy),
    text(`rank ${rank}`, rank, undefined, style.quiet, { anchor: "middle" }),
    text(`misses ${percent(missed)} of ‖ΔW‖`, energy.length, undefined, style.quiet, { panel: "2", anchor: "end" }),
    text("ΔW", 1, sigma[0], update, { dx: 4, dy: -7 }), text("random", 1, random_sigma[0], random, { dx: 4, dy: -7 }),
  ];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer, style }) => draw({ key: `${state.job} ${state.layer} ${state.matrix}`, ...curves(answer, style), marks: marks(answer, style) }, style);
});
