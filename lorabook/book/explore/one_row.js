// One row of W in the plane: LoRA's line, DoRA's half of the plane, the two rows, what the task wants, and at V the two
// parts of the gradient step. Drawn in the page's own pixels, with what each mark means beside it, or below.
import { explorer } from "./explorer.js";
import { rule, words } from "./panel.js";
import { fitted, marker, svg } from "./svg.js";

const [HIGH, KEY, LINE] = [404, 246, 26];
const [ABOVE, FAR, STEP] = [1.92, 9, 0.5]; // units above 0; further than any edge; the drawn share of a gradient step

const plus = (p, q, k = 1) => [p[0] + k * q[0], p[1] + k * q[1]];

// From p to q with a head, for p ≠ q.
function arrow(p, q, colour, more = {}) {
  const length = Math.hypot(q[0] - p[0], q[1] - p[1]);
  if (length < 2) return [];
  const [x, y] = [(q[0] - p[0]) / length, (q[1] - p[1]) / length];
  const head = Math.min(10, length);
  const back = plus(q, [x, y], -head);
  const side = head * 0.45;
  return [rule(...p, ...back, colour, { "stroke-width": 2.5, ...more }),
    svg("path", { d: `M${q}L${plus(back, [-y, x], side)}L${plus(back, [y, -x], side)}Z`, fill: colour })];
}

const DASHED = { "stroke-dasharray": "4 4" };

function paints(style) {
  return { lora: style.variant("LoRA"), dora: style.variant("DoRA"), frozen: style.role("frozen").colour, text: style.text };
}

function plane({ a, v, w, target, along, across }, at, { lora, dora, frozen, text }, style) {
  const [o, w0] = [[0, 0], [0, 1]];
  const line = (p) => [...at(plus(p, a, -FAR)), ...at(plus(p, a, FAR))];
  const corners = [plus(o, a, -FAR), plus(o, a, FAR), plus(plus(o, a, FAR), w0, FAR), plus(plus(o, a, -FAR), w0, FAR)];
  const m = Math.hypot(...w);
  return [
    svg("polygon", { points: corners.map(at).join(" "), fill: dora.colour, opacity: 0.14 }),
    rule(...line(o), dora.colour, { "stroke-width": 1.5, ...DASHED }), rule(...line(w0), lora.colour, { "stroke-width": 3 }),
    svg("circle", { cx: at(o)[0], cy: at(o)[1], r: at([m, 0])[0] - at(o)[0], fill: "none", stroke: dora.colour, "stroke-dasharray": "2 4" }),
    rule(...at(o), ...at(plus(o, w, FAR)), style.quiet, { "stroke-dasharray": "2 4" }),
    ...arrow(at(o), at(w0), frozen, { "stroke-width": 5 }),
    svg("circle", { cx: at(o)[0], cy: at(o)[1], r: 3, fill: text }),
    marker("star", ...at(target), 9, text), marker("circle", ...at(v), 7.5, lora.colour), marker("diamond", ...at(w), 7, dora.colour),
    ...arrow(at(v), at(plus(v, across, STEP)), text), ...arrow(at(v), at(plus(v, along, STEP)), text, DASHED),
  ];
}

// A mark and its words, one below the other from (x, y), in as many columns as fit.
function key(x, y, columns, { lora, dora, frozen, text }) {
  const entries = [
    [(p) => arrow(p, plus(p, [22, 0]), frozen, { "stroke-width": 5 }), "W₀ᵢ, the pretrained row"],
    [(p) => [rule(...p, p[0] + 22, p[1], lora.colour, { "stroke-width": 3 })], "all that LoRA reaches with this A"],
    [(p) => [marker("circle", p[0] + 11, p[1], 7.5, lora.colour)], "V, which is LoRA's row"],
    [(p) => [svg("rect", { x: p[0], y: p[1] - 8, width: 22, height: 16, fill: dora.colour, opacity: 0.3 })], "all that DoRA reaches with it"],
    [(p) => [marker("diamond", p[0] + 11, p[1], 7, dora.colour)], "W, DoRA's row, of length mᵢ"],
    [(p) => [marker("star", p[0] + 11, p[1], 9, text)], "the row that the task wants"],
    [(p) => arrow(p, plus(p, [22, 0]), text), "gradient step of V that turns it"],
    [(p) => arrow(p, plus(p, [22, 0]), text, DASHED), "its part along V: only if the norm"],
    [() => [], "is held constant"],
  ];
  const most = Math.ceil(entries.length / columns);
  return entries.flatMap(([mark, label], i) => {
    const p = [x + KEY * Math.floor(i / most), y + LINE * (i % most)];
    return [...mark(p), words(label, p[0] + 32, p[1] + 4)];
  });
}

function draw(canvas, { answer, style }, width) {
  const beside = width > 700;
  const wide = beside ? width - KEY - 16 : width;
  const unit = Math.min(HIGH / 2.72, wide / 3.7);
  const high = unit * 2.72;
  const at = ([x, y]) => [wide / 2 + unit * x, unit * (ABOVE - y)];
  const id = `lb-plane-${Math.random().toString(36).slice(2)}`;
  const clip = svg("defs", {}, svg("clipPath", { id }, svg("rect", { x: 0, y: 0, width: wide, height: high })));
  const colours = paints(style);
  const columns = width > 2 * KEY ? 2 : 1;
  const below = beside ? 0 : LINE * Math.ceil(9 / columns) + 16;
  canvas.setAttribute("viewBox", `0 0 ${width} ${high + below}`);
  canvas.replaceChildren(clip, svg("g", { "clip-path": `url(#${id})` }, ...plane(answer, at, colours, style)),
    ...(beside ? key(wide + 16, 40, 1, colours) : key(4, high + 24, columns, colours)));
}

export default explorer((stage) => fitted(stage, draw));
