// Above: W₀ + W₀ ⊙ A + B = W beside what is wanted; below the bias, its columns drawn twice as wide as they are, or they
// would be hairlines. All squares have one size. Last, how much of the wish is reached, beside LoRA.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { percent } from "./numbers.js";
import { inPixels, rule, soft, words } from "./panel.js";
import { svg } from "./svg.js";

const [ROWS, COLUMNS] = [12, 16];
const [HEAD, MOST, HEIGHT] = [24, 9, 424];
const [BIAS, SHARES] = [176, 356]; // where the bias and the shares begin
const TERMS = ["A", "B", "C", "D", "E"];

const largest = (matrix) => Math.max(...matrix.map(Math.abs));
const many = (n) => (n === 1 ? "1 number" : `${n} numbers`);

function panel(name, matrix, said, most, x, top, cell, paints) {
  const [rows, columns] = matrix.shape;
  const y = top + HEAD;
  return [words(name, x, y - 7, { "font-weight": 600 }),
    svg("rect", { x, y, width: columns * cell, height: rows * cell, fill: paints.ground, opacity: 0.35 }),
    ...entries(matrix, most, x, y, cell, paints.signs), soft(said, x, y + rows * cell + 16)];
}

// A column shown as two equal ones.
function thick(matrix) {
  const twice = [...matrix].flatMap((value) => [value, value]);
  return Object.assign(Float32Array.from(twice), { shape: [matrix.shape[0], 2] });
}

function line(panels, joins, top, step, cell, paints) {
  const shown = [panels[0].matrix, panels.at(-1).matrix];
  const most = 0.8 * Math.max(...shown.map(largest));
  return panels.flatMap(({ name, matrix, said }, i) => {
    const x = i * step;
    const join = joins[i] ? [words(joins[i], x - 10, top + HEAD + (ROWS * cell) / 2 + 5, { "text-anchor": "middle", "font-size": 15 })] : [];
    return [...join, ...panel(name, matrix, said, most, x, top, cell, paints)];
  });
}

function shares({ reached, plain, numbers, plain_numbers }, width, style) {
  const [left, right] = [118, width - 150];
  const rows = [["these terms", reached, numbers, style.role("trainable").colour], ["LoRA, rank 2", plain, plain_numbers, style.variant("LoRA").colour]];
  return rows.flatMap(([name, share, n, colour], i) => {
    const y = SHARES + 30 * i;
    return [words(name, left - 10, y + 4, { "text-anchor": "end" }), rule(left, y - 10, left, y + 10, style.quiet),
      svg("rect", { x: left, y: y - 8, width: Math.max(1, (right - left) * share), height: 16, fill: colour }),
      words(`${percent(share)}, ${many(n)}`, left + (right - left) * share + 8, y + 4)];
  });
}

export default explorer((stage) => inPixels(stage, HEIGHT, ({ state, answer, style }, width) => {
  const paints = { signs: [style.variant("rsLoRA").colour, style.role("trainable").colour], ground: style.grid };
  const count = Object.fromEntries(TERMS.map((term, i) => [term, answer.counts[i]]));
  const said = (term) => (state[term] === "none" ? "none" : `${state[term]}: ${count[term]}`);
  const cell = Math.min(MOST, Math.floor((2 * (width - 4 * 22)) / (5 * COLUMNS)) / 2);
  const [w0, a, b, w, wish] = answer.weights;
  const [b0, c, d, e, bias, wanted] = answer.biases.map(thick);
  const weight = [{ name: "W₀", matrix: w0, said: `${ROWS} × ${COLUMNS}` }, { name: "W₀ ⊙ A", matrix: a, said: said("A") },
    { name: "B", matrix: b, said: said("B") }, { name: "W", matrix: w, said: `W − W₀: rank ${answer.rank}` },
    { name: "wanted W", matrix: wish, said: "" }];
  const below = [{ name: "b₀", matrix: b0, said: `${ROWS}` }, { name: "W₀C", matrix: c, said: said("C") },
    { name: "D ⊙ b₀", matrix: d, said: said("D") }, { name: "E", matrix: e, said: said("E") },
    { name: "b", matrix: bias, said: "" }, { name: "wanted b", matrix: wanted, said: "" }];
  return [...line(weight, ["", "+", "+", "=", "≈"], 0, cell * COLUMNS + 22, cell, paints),
    ...line(below, ["", "+", "+", "+", "=", "≈"], BIAS, (5 * cell * COLUMNS + 4 * 22) / 6, cell, paints),
    ...shares(answer, width, style)];
}));
