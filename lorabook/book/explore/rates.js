// Left: the plane of the two rates, a cell a training, darker where its loss is lower, and the line of one ratio. Right:
// the losses along that line, over the rate of A. Drawn in the page's own pixels.
import { explorer } from "./explorer.js";
import { row, show } from "./numbers.js";
import { inPixels, levels, rule, soft, upright, words } from "./panel.js";
import { marker, svg } from "./svg.js";

const [LEFT, TOP, FLOOR, HEIGHT] = [66, 42, 364, 406];
const [DEPTH, STRONGEST] = [0.3, 0.5]; // nats above the best where the colour ends; its opacity at the best
const ABOVE = 0.8; // nats above the best where the right panel ends
const SYMBOLS = ["circle", "square", "diamond"];

const short = (rate) => show(+rate.toPrecision(2)).replace(/^0/, "");

function plane(answer, state, right, style) {
  const [wide, high] = [(right - LEFT) / answer.rates_a.length, (FLOOR - TOP) / answer.rates_b.length];
  const [x, y] = [(column) => LEFT + (column + 0.5) * wide, (i) => FLOOR - (i + 0.5) * high];
  const low = Math.min(...answer.plane);
  const fill = style.variant("LoRA+").colour;
  const box = (i, j, more) => svg("rect", { x: x(j) - wide / 2, y: y(i) - high / 2, width: wide - 1, height: high - 1, ...more });
  const all = answer.rates_b.flatMap((_, i) => [...row(answer.plane, i)].map((loss, j) => ({ i, j, loss })));
  // Through the corners of its cells, whatever their shape.
  const diagonal = (points, look, width) => {
    const [[i, j], [k, l]] = [points[0], points.at(-1)];
    return rule(x(j - 0.5), y(i - 0.5), x(l + 0.5), y(k + 0.5), look, { "stroke-width": width, "stroke-opacity": 0.7 });
  };
  const star = (n, k) => {
    const [i, j] = answer.optima[k];
    const mine = n === state.width;
    return marker(SYMBOLS[k], x(j) + (k - 1) * Math.min(13, wide / 3), y(i) - high / 2 + 8, mine ? 6 : 4.5, mine ? style.text : style.quiet);
  };
  const every = wide < 40 ? 2 : 1;
  const [i, j] = answer.point;
  return [
    ...all.map(({ i, j, loss }) => box(i, j, { fill, "fill-opacity": STRONGEST * Math.max(0, 1 - (loss - low) / DEPTH), stroke: style.grid })),
    diagonal(answer.lora, style.variant("LoRA").colour, 3), ...(state.ratio === 1 ? [] : [diagonal(answer.line, fill, 5)]),
    ...(wide < 26 ? [] : all.map(({ i, j, loss }) => words(loss.toFixed(2), x(j), y(i) + 8, { "text-anchor": "middle", "font-size": wide < 30 ? 11 : 11.5 }))),
    ...(i < 0 ? [] : [box(i, j, { fill: "none", stroke: style.text, "stroke-width": 2.5 })]),
    ...answer.widths.map(star),
    ...answer.rates_a.flatMap((rate, k) => (k % every ? [] : [soft(short(rate), x(k), FLOOR + 16, "middle")])),
    ...answer.rates_b.map((rate, k) => soft(short(rate), LEFT - 6, y(k) + 4, "end")),
    soft("η_A (log scale)", (LEFT + right) / 2, FLOOR + 36, "middle"), upright("η_B (log scale)", (TOP + FLOOR) / 2),
    words("best of width", LEFT, 16),
    ...answer.widths.flatMap((n, k) => [marker(SYMBOLS[k], LEFT + 98 + 52 * k, 12, n === state.width ? 6 : 4.5, n === state.width ? style.text : style.quiet),
      words(String(n), LEFT + 108 + 52 * k, 16, { "font-weight": n === state.width ? 700 : 400 })]),
    ...(wide < 36 ? [] : [soft("nats per letter", right, 16, "end")]),
  ];
}

function sweep(answer, state, left, right, style) {
  const low = Math.min(...answer.plane);
  const [first, last] = [answer.rates_a[0], answer.rates_a.at(-1)];
  const across = (rate) => left + 12 + ((right - left - 24) * Math.log2(rate / first)) / Math.log2(last / first);
  const up = (loss) => FLOOR - 14 - ((FLOOR - 14 - TOP) * (loss - low)) / ABOVE;
  const loss = ([i, j]) => row(answer.plane, i)[j];
  const id = `lb-clip-${Math.random().toString(36).slice(2)}`;
  const frame = svg("rect", { x: left, y: TOP, width: right - left, height: FLOOR - TOP });
  const same = state.ratio === 1;
  const [mine, lora] = [style.variant(same ? "LoRA" : "LoRA+").colour, style.variant("LoRA").colour];
  const curve = (points, colour, width, more) => svg("path", { fill: "none", stroke: colour, "stroke-width": width, "clip-path": `url(#${id})`, ...more,
    d: points.map((p, k) => `${k ? "L" : "M"}${across(answer.rates_a[p[1]]).toFixed(1)},${up(loss(p)).toFixed(1)}`).join("") });
  const inside = (points) => points.filter((p) => loss(p) <= low + ABOVE);
  const dots = (points, colour, size, symbol) => inside(points).map((p) => marker(symbol, across(answer.rates_a[p[1]]), up(loss(p)), size, colour));
  const ring = (p, colour) => svg("circle", { cx: across(answer.rates_a[p[1]]), cy: up(loss(p)), r: 8, fill: "none", stroke: colour, "stroke-width": 2 });
  const grid = [0, 0.2, 0.4, 0.6, 0.8].map((v) => (Math.ceil(low * 5) / 5 + v).toFixed(1)).filter((v) => +v <= low + ABOVE);
  const here = across(state.rate);
  const key = (colour, text, x, y, width, more) => [rule(x, y - 4, x + 20, y - 4, colour, { "stroke-width": width, ...more }), words(text, x + 26, y)];
  const second = right - left < 260 ? [left, 34] : [left + 138, 16];
  const dashed = { "stroke-dasharray": "6 4" };
  return [svg("defs", {}, svg("clipPath", { id }, frame)),
    ...levels(grid, (v) => up(+v), left, right, style), rule(here, TOP, here, FLOOR, style.text, { "stroke-width": 1.2 }),
    ...(same ? [] : [curve(answer.lora, lora, 2, dashed), ...dots(answer.lora, lora, 3.5, "circle"), ring(answer.best_lora, lora)]),
    curve(answer.line, mine, 3), ...dots(answer.line, mine, 4, "square"), ring(answer.best, style.text),
    ...answer.rates_a.flatMap((rate, k) => (k % 3 ? [] : [soft(short(rate), across(rate), FLOOR + 16, "middle")])),
    soft("η_A (log scale)", (left + right) / 2, FLOOR + 36, "middle"),
    ...key(mine, same ? "LoRA, λ = 1" : `along λ = ${show(state.ratio)}`, left, 16, 3), ...(same ? [] : key(lora, "LoRA, λ = 1", ...second, 2, dashed))];
}

export default explorer((stage) => inPixels(stage, HEIGHT, ({ state, answer, style }, width) => {
  const middle = Math.round(0.6 * width);
  return [...plane(answer, state, middle, style), ...sweep(answer, state, middle + 48, width - 12, style)];
}));
