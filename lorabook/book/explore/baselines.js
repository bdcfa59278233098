// Left: loss on the Bible over what of Austen is forgotten, a line a contender, a point a rate, and the limit. Right: a cost.
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";
import { rule, soft, upright, words } from "./panel.js";
import { fitted, marker, svg } from "./svg.js";

const [TOP, HIGH, LEFT, RIGHT, BAR] = [40, 260, 62, 320, 50];
const [ACROSS, DOWN] = [[0, 0.72], [3.6, 4.8]];
const WIDE = 760; // below that the costs stand under the curves
const LOOKS = ["", "LoRA", "adapters", "prefix"];
const DASHES = ["2 4", "", "9 3 2 3", "9 3"];
const bold = { "font-weight": 600 };

const looks = (style) => LOOKS.map((name, i) => (name ? { ...style.variant(name), dash: DASHES[i] }
  : { ...style.role("reference"), marker: "star", dash: DASHES[i] }));

const between = ([from, to], low, high) => (value) => low + ((high - low) * (value - from)) / (to - from);

function frame(x, y, width, style) {
  const levels = [3.6, 3.8, 4.0, 4.2, 4.4, 4.6, 4.8];
  return [
    ...levels.flatMap((v) => [rule(LEFT, y(v), width, y(v), style.grid), soft(v.toFixed(1), LEFT - 6, y(v) + 4, "end")]),
    ...[0, 0.2, 0.4, 0.6].map((v) => soft(v.toFixed(1), x(v), TOP + HIGH + 17, "middle")),
    soft("forgotten of Austen, nats per token", (LEFT + width) / 2, TOP + HIGH + 36, "middle"), upright("loss on the Bible, nats per token", TOP + HIGH / 2)];
}

function curves({ state, answer, style }, width) {
  const [x, y] = [between(ACROSS, LEFT, width), between(DOWN, TOP + HIGH, TOP)];
  const limit = x(state.most);
  const strokes = looks(style);
  const lines = answer.curves.flatMap((curve, i) => {
    const [xs, ys] = [[...row(curve, 0)].map(x), [...row(curve, 1)].map(y)];
    return [svg("path", { d: xs.map((at, k) => `${k ? "L" : "M"}${at},${ys[k]}`).join(""), fill: "none", stroke: strokes[i].colour, "stroke-width": 2, "stroke-dasharray": strokes[i].dash }),
      ...xs.map((at, k) => marker(strokes[i].marker, at, ys[k], 3.6, strokes[i].colour))];
  });
  const rings = answer.lowest.flatMap((point) => (point ? [svg("circle", { cx: x(point[0]), cy: y(point[1]), r: 8, fill: "none", stroke: style.text, "stroke-width": 2 })] : []));
  const legend = answer.names.flatMap((name, i) => {
    const [at, down] = [LEFT + (i % 2) * ((width - LEFT) / 2), TOP + HIGH + 60 + 18 * Math.floor(i / 2)];
    return [rule(at, down - 4, at + 28, down - 4, strokes[i].colour, { "stroke-width": 2, "stroke-dasharray": strokes[i].dash }),
      marker(strokes[i].marker, at + 14, down - 4, 3.6, strokes[i].colour), words(name, at + 36, down)];
  });
  return [words("Learned and forgotten: a point for each rate, up to the best", LEFT - 40, 16, bold), ...frame(x, y, width, style),
    svg("rect", { x: limit, y: TOP, width: Math.max(0, width - limit), height: HIGH, fill: style.quiet, opacity: 0.14 }),
    rule(limit, TOP, limit, TOP + HIGH, style.text, { "stroke-dasharray": "6 4", "stroke-width": 1.5 }),
    ...lines, ...rings, ...legend, soft("ring: the lowest loss within the limit", LEFT, TOP + HIGH + 100, "start")];
}

function costs({ state, answer, style }, left, top, width) {
  const most = Math.max(...answer.costs);
  const strokes = looks(style);
  const bars = answer.names.flatMap((name, i) => {
    const [y, long] = [top + 12 + BAR * i, Math.max(2, ((width - 142) * answer.costs[i]) / most)];
    return [words(name, left, y), svg("rect", { x: left, y: y + 6, width: long, height: 16, fill: strokes[i].colour, opacity: 0.85 }),
      words(answer.told[i], left + long + 6, y + 19, bold)];
  });
  return [words(`Cost: ${state.cost}`, left, top - 24, bold), ...bars];
}

function draw(canvas, picture, width) {
  const beside = width >= WIDE;
  const foot = TOP + HIGH + 112;
  canvas.setAttribute("viewBox", `0 0 ${width} ${beside ? foot : foot + TOP + 4 * BAR + 20}`);
  canvas.replaceChildren(...curves(picture, beside ? width - RIGHT - 30 : width - 6),
    ...costs(picture, beside ? width - RIGHT : 6, beside ? TOP : TOP + foot, beside ? RIGHT : width - 6));
}

export default explorer((stage) => fitted(stage, draw));
