// Left: what the rounds cost, ε. Right: what was learned, over the rank that is served; dotted: the same without noise.
import { axis, chart, stroke } from "./chart.js";
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";

const [LOW, TOP] = [3.8, 4.45];
const [LEAST, NONE] = [0.02, 100];
const log = (from, to) => [Math.log10(from), Math.log10(to)];

function looks(style) {
  return { dylora: style.variant("DyLoRA"), lora: style.variant("LoRA"), base: style.role("reference") };
}

function band(x, values, colour) {
  const [low, high] = [1, 2].map((i) => [...row(values, i)].map((y) => Math.min(y, TOP)));
  return { x: [...x, ...[...x].reverse()], y: [...low, ...high.reverse()], fill: "toself", fillcolor: colour, opacity: 0.16,
    line: { width: 0 }, mode: "lines", hoverinfo: "skip", xaxis: "x2", yaxis: "y2" };
}

function line(name, x, y, look, more = {}) {
  return { name, x: [...x], y: [...y], mode: "lines+markers", line: stroke(look), marker: { symbol: look.marker, size: 8, color: look.colour },
    xaxis: "x2", yaxis: "y2", hovertemplate: `${name}, rank %{x}: %{y:.3f}<extra></extra>`, ...more };
}

function quiet(name, x, y, look) {
  return line(`${name}, no noise`, x, y, look, { mode: "lines", line: { color: look.colour, dash: "dot", width: 1.5 } });
}

function curves({ rounds, epsilon, ranks, trained, dylora, lora, quiet_dylora, quiet_lora, start }, look, style) {
  const text = { colour: style.text, dash: "solid" };
  return {
    traces: [
      { x: [...rounds], y: [...epsilon], mode: "lines+markers", line: stroke(text), marker: { size: 6, color: style.text },
        hovertemplate: "after %{x} rounds: ε = %{y:.3g}<extra></extra>" },
      { x: [0.9, 9], y: [start, start], mode: "lines", line: stroke(look.base, { width: 1.5 }), xaxis: "x2", yaxis: "y2",
        hovertemplate: "the base: %{y:.3f}<extra></extra>" },
      band(ranks, dylora, look.dylora.colour), band(trained, lora, look.lora.colour),
      quiet("DP-DyLoRA", ranks, quiet_dylora, look.dylora), quiet("LoRA", trained, quiet_lora, look.lora),
      line("DP-DyLoRA", ranks, row(dylora, 0), look.dylora), line("LoRA", trained, row(lora, 0), look.lora),
    ],
    layout: {
      margin: { l: 58, r: 112, t: 30, b: 46 }, height: 350,
      xaxis: axis(style, "rounds", { range: [0, rounds.at(-1) + 1], tickvals: [...rounds], domain: [0, 0.4] }),
      yaxis: axis(style, "ε (log scale)", { type: "log", range: log(LEAST, 1.4 * NONE), tickvals: [0.1, 1, 10, 100] }),
      xaxis2: axis(style, "rank that is served (log scale)", { type: "log", range: log(0.9, 9), tickvals: [...ranks], domain: [0.55, 1], anchor: "y2" }),
      yaxis2: axis(style, "loss of unseen clients, nats per token", { range: [LOW, TOP], tickformat: ".1f", anchor: "x2" }),
    },
  };
}

function marks(state, { rounds, epsilon, private: noisy, ranks, dylora, lora, start }, look, style) {
  const spent = epsilon[rounds.indexOf(state.rounds)];
  const ends = [["DP-DyLoRA", dylora, ranks.length - 1, look.dylora], ["LoRA", lora, 1, look.lora]];
  const items = ends.map(([text, values, i, { colour }]) => {
    const y = row(values, 0)[i];
    return { text: y > TOP ? `${text} ↑` : text, x: 8.3, y: Math.min(y, TOP), colour };
  });
  const said = noisy ? `ε = ${spent >= NONE ? "over 100" : spent.toPrecision(3)}` : "no noise: ε is infinite";
  return [
    { kind: "rule", x: state.rounds, colour: style.quiet },
    { kind: "dot", x: state.rounds, y: spent, colour: style.text, size: 7 },
    { kind: "text", text: said, x: 0, anchor: "start", colour: style.text, dx: 4 },
    { kind: "rule", x: state.r, panel: "2", colour: style.quiet },
    { kind: "text", text: "the base", x: 0.92, y: start, dx: 2, dy: -6, panel: "2", colour: style.quiet, anchor: "start" },
    { kind: "text", text: "thin dots: without noise", x: 0.92, panel: "2", anchor: "start", colour: style.text },
    { kind: "labels", items, panel: "2" },
  ];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer, style }) => {
    const look = looks(style);
    const key = [state.sigma, state.cohort, state.clients, state.rounds].join(" ");
    draw({ key, ...curves(answer, look, style), marks: marks(state, answer, look, style) }, style);
  };
});
