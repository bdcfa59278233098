// The wish, and what each form makes of it with as many numbers. Below each ΔW its singular values; the dotted line is
// the wish's own. All columns have one scale.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { percent } from "./numbers.js";
import { fitted, svg } from "./svg.js";

const [SIDE, HEAD, LINE, BARS, WIDE, ROOM] = [32, 24, 15, 64, 720, 12]; // ROOM: for words wider than the last column
const [SOFT, STRONG] = [{ class: "lb-soft" }, { "font-weight": 600 }];
const FORMS = ["LoRA", "LoHa", "HiRA", "LoKr"];

const words = (text, x, y, more = {}) => svg("text", { x, y, "font-size": 12, ...more }, text);

// One bar a singular value, as wide as a column of ΔW; what is no zero can be seen.
function bars(values, x, foot, cell, most, colour) {
  const d = Array.from(values).map((value, i) => {
    const height = Math.max(1.5, (BARS * value) / most);
    return value < 1e-6 * most ? "" : `M${x + cell * i + 0.5},${foot}v${-height}h${cell - 1}v${height}z`;
  });
  return svg("path", { d: d.join(""), fill: colour });
}

function outline(values, x, foot, cell, most, colour) {
  const step = (value, i) => `${i ? "L" : "M"}${x + cell * i},${foot - (BARS * value) / most}h${cell}`;
  const d = Array.from(values).map(step);
  return svg("path", { d: d.join(""), fill: "none", stroke: colour, "stroke-width": 1.3, "stroke-dasharray": "2 2" });
}

function column(one, x, cell, wish, paints) {
  const [across, most] = [cell * SIDE, wish.sigma[0]];
  const told = HEAD + across + 4;
  const foot = told + LINE * 4 + 16 + BARS;
  return [
    words(one.name, x, HEAD - 8, { "font-weight": 600, "font-size": 13 }),
    svg("rect", { x, y: HEAD, width: across, height: across, fill: paints.ground, opacity: 0.35 }),
    ...entries(one.matrix, wish.most, x, HEAD, cell, paints.signs),
    ...one.said.map(([text, look], i) => words(text, x, told + LINE * (i + 1), look)),
    bars(one.sigma, x, foot, cell, most, one.colour),
    outline(wish.sigma, x, foot, cell, most, paints.wish),
    svg("line", { x1: x, x2: x + across, y1: foot, y2: foot, stroke: paints.quiet }),
    words("σ₁", x, foot + 14, { class: "lb-soft" }),
    words("σ₃₂", x + across, foot + 14, { class: "lb-soft", "text-anchor": "end" }),
  ];
}

function draw(canvas, { answer, style }, width) {
  const cell = width < WIDE ? 3 : 4;
  const step = cell * SIDE + Math.min(36, (width - ROOM - 5 * cell * SIDE) / 4);
  const trained = style.role("trainable").colour;
  const signs = [style.variant("rsLoRA").colour, trained];
  const paints = { signs, ground: style.grid, quiet: style.quiet, wish: style.text };
  const wish = { sigma: answer.sigma, most: Math.max(...answer.wanted.map(Math.abs)) * 0.7 };
  const columns = [
    { name: "wanted ΔW", matrix: answer.wanted, sigma: answer.sigma, colour: style.quiet,
      said: [["32 × 32", SOFT], ["1024 entries", SOFT], [`rank ${answer.rank}`, STRONG]] },
    ...FORMS.map((name, i) => ({ name, matrix: answer.updates[i], sigma: answer.sigmas[i], colour: trained, said: [
      [answer.sizes[i], SOFT], [`${answer.numbers[i]} numbers`, SOFT], [`rank ${answer.ranks[i]}`, STRONG],
      [`reaches ${percent(answer.reached[i])}`, STRONG]] })),
  ];
  canvas.setAttribute("viewBox", `0 0 ${width} ${HEAD + cell * SIDE + 4 * LINE + BARS + 42}`);
  canvas.replaceChildren(...columns.flatMap((one, i) => column(one, step * i, cell, wish, paints)));
}

export default explorer((stage) => fitted(stage, draw));
