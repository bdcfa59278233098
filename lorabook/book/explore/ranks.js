// Left: loss over the steps, a line a rank, thicker with the rank. Right: where each rank ends, over the learning rate.
import { axis, chart, stroke } from "./chart.js";
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";

const STROKES = { "α/r": "LoRA", "α/√r": "rsLoRA" };
const TOP = 4.6;
const width = (i) => 1 + 0.6 * i;

function line(name, x, y, i, panel, look) {
  return { name, x: [...x], y: [...y], mode: "lines", line: { color: look.colour, width: width(i) }, opacity: 0.55,
    xaxis: `x${panel}`, yaxis: `y${panel}`, hovertemplate: `${name}, %{x}: %{y:.3f}<extra></extra>` };
}

function level(x, start, panel, style) {
  return { x, y: [start, start], mode: "lines", line: stroke(style.role("reference"), { width: 1.5 }), xaxis: `x${panel}`,
    yaxis: `y${panel}`, hovertemplate: "the base: %{y:.3f}<extra></extra>" };
}

const log = (from, to) => [Math.log10(from), Math.log10(to)];

function curves({ ranks, steps, all_rates, curves, ends, start }, look, style) {
  const [last, low] = [steps.at(-1), Math.min(...ends) - 0.1];
  const wide = { range: [low, TOP], tickformat: ".1f" };
  const [least, most] = [all_rates[0], all_rates.at(-1)];
  const doublings = [...all_rates].filter((rate) => Math.abs(Math.log2(rate / least) % 1) < 0.01);
  return {
    traces: [
      level([1, last], start, "", style), level([least, most], start, "2", style),
      ...ranks.map((r, i) => line(`r = ${r}`, steps, row(curves, i), i, "", look)),
      ...ranks.map((r, i) => line(`r = ${r}`, all_rates, row(ends, i), i, "2", look)),
    ],
    layout: {
      margin: { l: 56, r: 60, t: 26, b: 46 }, height: 350,
      xaxis: axis(style, "step (log scale)", { type: "log", range: log(0.93, last * 1.07), tickvals: [1, 2, 4, 6, 10, 20, 40, 60], domain: [0, 0.44] }),
      yaxis: axis(style, "loss on unseen verses, nats per token", wide),
      xaxis2: axis(style, "learning rate (log scale)", { type: "log", range: log(least * 0.86, most * 1.16), tickvals: doublings, domain: [0.57, 1], anchor: "y2" }),
      yaxis2: axis(style, "after 60 steps", { ...wide, anchor: "x2" }),
    },
  };
}

// A line that leaves the picture above is named at its upper edge.
function labels(ranks, x, ys, panel, look) {
  const items = ranks.map((r, i) => ({ x, y: Math.min(ys[i], TOP), text: ys[i] > TOP ? `${r} ↑` : `${r}`, colour: look.colour }));
  return { kind: "labels", items, panel };
}

function marks(state, { ranks, steps, all_rates, curves, ends, rates, best, start }, look, style) {
  const i = ranks.indexOf(state.r);
  const [last, most, low] = [steps.at(-1), all_rates.at(-1), Math.min(...ends)];
  const at = (array, k) => [...row(array, k)];
  const inside = (x, y) => x.map((value, j) => [value, y[j]]).filter(([, value]) => value <= TOP);
  const points = inside([...steps], at(curves, i));
  const own = rates.every((rate) => rate === rates[0]) ? [{ kind: "rule", x: rates[0], panel: "2", colour: style.quiet }] : [];
  return [
    labels(ranks, last, ranks.map((_, k) => at(curves, k).at(-1)), "", look),
    labels(ranks, most, ranks.map((_, k) => at(ends, k).at(-1)), "2", look),
    { kind: "text", text: "rank", x: last, dx: 8, colour: style.text, anchor: "start" },
    { kind: "text", text: "rank", x: most, dx: 8, panel: "2", colour: style.text, anchor: "start" },
    { kind: "text", text: "the base", x: 1, y: start, dx: 4, dy: -6, colour: style.quiet, anchor: "start" },
    { kind: "text", text: "marks: each rank's best rate", x: all_rates[0], panel: "2", colour: style.quiet, anchor: "start" },
    ...own,
    { kind: "path", x: points.map(([x]) => x), y: points.map(([, y]) => y), colour: style.text, width: 1.5 },
    ...points.map(([x, y]) => ({ kind: "dot", x, y, colour: style.text, size: 3 })),
    ...ranks.map((r, k) => ({ kind: "dot", x: best[k], y: Math.min(...at(ends, k)), panel: "2", colour: k === i ? style.text : look.colour, symbol: look.marker, size: k === i ? 7 : 4 })),
    { kind: "text", text: `with dots: rank ${state.r}`, x: 1, y: low, dy: 2, dx: 4, colour: style.text, anchor: "start" },
  ];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer, style }) => {
    const look = style.variant(STROKES[state.scale]);
    draw({ key: `${state.scale} ${state.rate}`, ...curves(answer, look, style), marks: marks(state, answer, look, style) }, style);
  };
});
