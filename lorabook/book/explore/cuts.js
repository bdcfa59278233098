// Loss over the rank that is served: two adapters of rank 8, cut, and LoRA trained at the rank itself.
import { axis, chart, stroke } from "./chart.js";
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";

const TOP = 4.75;
const OWN = "LoRA trained at the rank";
const WIDE = 172;

function band(x, values, colour) {
  const [low, high] = [1, 2].map((i) => [...row(values, i)]);
  return { x: [...x, ...[...x].reverse()], y: [...low, ...high.reverse()], fill: "toself", fillcolor: colour, opacity: 0.16,
    line: { width: 0 }, mode: "lines", hoverinfo: "skip" };
}

function line(name, x, values, look) {
  return { name, x: [...x], y: [...row(values, 0)], mode: "lines+markers", line: stroke(look),
    marker: { symbol: look.marker, size: 8, color: look.colour }, hovertemplate: `${name}, rank %{x}: %{y:.3f}<extra></extra>` };
}

function looks(style) {
  return { dylora: style.variant("DyLoRA"), lora: style.variant("LoRA"), own: { ...style.role("reference"), marker: "star" } };
}

function curves({ form }, { ranks, trained, dylora, lora, own, start }, look, style) {
  const low = Math.min(...own) - 0.06;
  return {
    traces: [
      { x: [ranks[0] - 0.3, ranks.at(-1) + 0.3], y: [start, start], mode: "lines", line: { color: style.quiet, width: 1 }, hovertemplate: "no adapter: %{y:.3f}<extra></extra>" },
      band(ranks, dylora, look.dylora.colour), band(ranks, lora, look.lora.colour), band(trained, own, look.own.colour),
      line(form, ranks, dylora, look.dylora), line("LoRA, cut", ranks, lora, look.lora), line(OWN, trained, own, look.own),
    ],
    layout: {
      margin: { l: 58, r: WIDE, t: 26, b: 46 }, height: 340,
      xaxis: axis(style, "rank that is served", { range: [ranks[0] - 0.3, ranks.at(-1) + 0.3], tickvals: [...ranks] }),
      yaxis: axis(style, "loss on unseen verses, nats per token", { range: [low, TOP], tickformat: ".1f" }),
    },
  };
}

function marks({ b, form }, { ranks, trained, dylora, lora, own, start }, look, style) {
  const [at, last, k] = [ranks.indexOf(b), ranks.at(-1), trained.indexOf(b)];
  const ends = [[form, dylora, look.dylora, 7], ["LoRA, cut", lora, look.lora, 7], [OWN, own, look.own, trained.length - 1]];
  const items = ends.map(([text, values, { colour }, i]) => ({ text, x: last, y: row(values, 0)[i], colour }));
  const read = [[form, row(dylora, 0)[at], look.dylora], ["LoRA, cut", row(lora, 0)[at], look.lora]];
  if (k >= 0) read.push(["trained", row(own, 0)[k], look.own]);
  // What lies above the picture has an arrow at its upper edge; the value stands in the line above.
  const dots = read.map(([, y, { colour, marker }]) => (y > TOP
    ? { kind: "text", text: "↑", x: b, y: TOP, dx: -6, dy: 14, colour, anchor: "end" }
    : { kind: "dot", x: b, y, colour, symbol: marker, size: 7 }));
  const words = [`rank ${b}`, ...read.map(([name, y]) => `${name} ${y.toFixed(2)}`)].join("  ·  ");
  return [{ kind: "rule", x: b, colour: style.quiet }, ...dots, { kind: "labels", items },
    { kind: "text", text: "no adapter", x: last, y: start, dx: 0, dy: -6, colour: style.quiet, anchor: "end" },
    { kind: "text", text: words, x: ranks[0] - 0.3, anchor: "start", colour: style.text }];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer, style }) => {
    const look = looks(style);
    const key = `${state.form} ${state.dylora} ${state.lora}`;
    draw({ key, ...curves(state, answer, look, style), marks: marks(state, answer, look, style) }, style);
  };
});
