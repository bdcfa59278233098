// Above: with what weight each product stands in what W₀ has moved by, and under it the rank after each step. Below: how
// far the model is from what is wanted, with LoRA of a larger α on top of it; the singular values of what W₀ moved by.
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";
import { inPixels, rule, soft, upright, words } from "./panel.js";
import { marker, svg } from "./svg.js";

const [LEFT, RIGHT, HEIGHT] = [62, 14, 470];
const [TOP, MIDDLE, HALF] = [30, 92, 56]; // of the weights
const [HEAD, FIRST, FLOOR] = [240, 258, 424]; // of the two charts
const DECADES = [1, -6];
const DASHED = { "stroke-dasharray": "8 4 2 4" };

const title = (text, x, y) => words(text, x, y, { "font-weight": 600 });
const lowered = (n) => [...String(n)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("");
const middle = { "text-anchor": "middle" };

function path(points, stroke, more = {}) {
  const d = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
  return svg("path", { d, fill: "none", stroke, "stroke-width": 2, ...more });
}

// A box between two levels; the dashed ones are what a step had put there and the next one took away.
function box(x, wide, from, to, look) {
  return svg("rect", { x: x - wide / 2, width: wide, y: Math.min(from, to), height: Math.max(Math.abs(from - to), 0.01), ...look });
}

function weights({ put, left, ranks }, t, right, style) {
  const step = (right - LEFT) / put.length;
  const at = (u) => LEFT + step * (u + 0.5);
  const up = (share) => MIDDLE - HALF * share;
  const colour = style.variant("Delta-LoRA").colour;
  const wide = Math.min(18, 0.7 * step);
  const gone = { fill: "none", stroke: style.quiet, "stroke-dasharray": "2 2" };
  const bars = [...left].flatMap((weight, u) => [
    ...(u < t && put[u] ? [box(at(u), wide, up(put[u]), up(weight), gone)] : []),
    ...(weight ? [box(at(u), wide, MIDDLE, up(weight), { fill: colour })] : [])]);
  const every = step > 17 ? 1 : 2;
  const numbers = ranks.flatMap((rank, u) => {
    const here = u === t;
    if (u > t || (!here && (u % every || (every > 1 && t - u < every)))) return [];
    return [words(rank, at(u), 200, { ...middle, "font-size": 11.5, ...(here ? { "font-weight": 700 } : { class: "lb-soft" }) })];
  });
  const names = [...left.keys()].filter((u) => u % 4 === 0).map((u) => soft(u ? `P${lowered(u)}` : "P₀ = 0", at(u), 172, "middle"));
  return [title("Weight of each product in what W₀ has moved by", LEFT, 14),
    ...[[1, "λ"], [0, "0"], [-1, "−λ"]].flatMap(([v, name]) => [rule(LEFT, up(v), right, up(v), style.grid), soft(name, LEFT - 8, up(v) + 4, "end")]),
    svg("rect", { x: at(t) - step / 2, width: step, y: TOP, height: 176, fill: style.quiet, opacity: 0.12 }),
    ...bars, rule(LEFT, MIDDLE, right, MIDDLE, style.quiet), ...names, soft("rank", LEFT - 8, 200, "end"), ...numbers];
}

function distances({ misses, larger }, t, right, style) {
  const last = misses.shape[1] - 1;
  const [at, up] = [(u) => LEFT + ((right - LEFT) * u) / last, (v) => FLOOR - ((FLOOR - FIRST) * (v - 0.6)) / 0.58];
  const [delta, plain] = [style.variant("Delta-LoRA"), style.variant("LoRA")];
  const line = (i, look, more) => path([...row(misses, i)].map((v, u) => [at(u), up(v)]), look.colour, more);
  const stars = [...row(misses, 1)].flatMap((v, u) => (u % 2 ? [] : [marker("star", at(u), up(v), 3.5, style.text)]));
  const keys = [[plain.colour, "LoRA, α = 4", DASHED], [delta.colour, "Delta-LoRA, α = 4"], [undefined, `LoRA, α = ${larger}`]];
  const key = keys.flatMap(([colour, text, more = {}], i) => {
    const y = FIRST + 6 + 16 * i;
    const x = right - 118;
    return [colour ? rule(x - 24, y - 4, x - 6, y - 4, colour, { "stroke-width": 3, ...more }) : marker("star", x - 15, y - 4, 4, style.text), words(text, x, y)];
  });
  return [title("Distance from what is wanted", LEFT, HEAD),
    ...[0.6, 0.7, 0.8, 0.9, 1].flatMap((v) => [rule(LEFT, up(v), right, up(v), style.grid), soft(v.toFixed(1), LEFT - 8, up(v) + 4, "end")]),
    ...[0, 8, 16, 24].map((u) => soft(u, at(u), FLOOR + 18, "middle")), soft("steps", (LEFT + right) / 2, FLOOR + 36, "middle"),
    upright("‖W − W*‖ / ‖W₀ − W*‖", (FIRST + FLOOR) / 2), rule(at(t), up(1), at(t), FLOOR, style.quiet),
    line(2, plain, DASHED), line(0, delta, { "stroke-width": 3 }), ...stars, ...key];
}

function spectrum({ sigma, r }, from, right, style) {
  const [top, low] = DECADES;
  const step = (right - from) / sigma.length;
  const [at, up] = [(i) => from + step * (i + 0.5), (v) => FIRST + ((FLOOR - FIRST) * (top - Math.log10(v))) / (top - low)];
  const colour = style.variant("Delta-LoRA").colour;
  const dots = [...sigma].map((v, i) => (v ? marker("circle", at(i), Math.min(up(v), FLOOR), 4.5, colour)
    : svg("circle", { cx: at(i), cy: FLOOR, r: 3.5, fill: "none", stroke: style.quiet })));
  const bounds = [[r, "r"], [2 * r, "2r"]].flatMap(([n, name]) => [
    rule(from + step * n, FIRST, from + step * n, FLOOR, style.quiet, { "stroke-dasharray": "3 3" }), soft(name, from + step * n, FIRST - 3, "middle")]);
  const ticks = [[1, "1"], [1e-2, "0.01"], [1e-4, "0.0001"], [1e-6, "10⁻⁶"]];
  return [title("Singular values (hollow: 0)", from, HEAD),
    ...ticks.flatMap(([v, name]) => [rule(from, up(v), right, up(v), style.grid), soft(name, from - 6, up(v) + 4, "end")]),
    ...bounds, ...dots, ...[1, 4, 8, 12, 16].map((i) => soft(i, at(i - 1), FLOOR + 18, "middle")), soft("direction", (from + right) / 2, FLOOR + 36, "middle")];
}

export default explorer((stage) => inPixels(stage, HEIGHT, ({ state, answer, style }, width) => {
  const half = Math.round(width / 2);
  return [...weights(answer, state.t, width - RIGHT, style), ...distances(answer, state.t, half - 24, style),
    ...spectrum(answer, half + 44, width - RIGHT, style)];
}));
