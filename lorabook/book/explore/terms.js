// Above: W₀ + W₀ ⊙ A + B = W beside what is wanted; below the bias, its columns drawn twice as wide as they are, or they
// would be hairlines. All squares have one size. Last, how much of the wish is reached, beside LoRA.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { percent, row } from "./numbers.js";
import { inPixels, rule, soft, words } from "./panel.js";
import { svg } from "./svg.js";

const [ROWS, COLUMNS] = [10, 12];
const [HEAD, MOST, HEIGHT] = [24, 11, 424];
const [GAP, BIAS, SHARES] = [24, 176, 356]; // where the bias and the shares begin

const largest = (matrix) => Math.max(...matrix.map(Math.abs));
const many = (n) => (n === 1 ? "1 number" : `${n} numbers`);

function panel(name, matrix, said, most, x, top, cell, paints) {
  const [rows, columns] = matrix.shape;
  const y = top + HEAD;
  return [words(name, x, y - 7, { "font-weight": 600 }),
    svg("rect", { x, y, width: columns * cell, height: rows * cell, fill: paints.ground, opacity: 0.35 }),
    ...entries(matrix, most, x, y, cell, paints.signs), soft(said, x, y + rows * cell + 16)];
}

// Each column of a bias as two equal ones.
function thick(columns) {
  return columns.map((column) => Object.assign(Float32Array.from([...column].flatMap((value) => [value, value])), { shape: [ROWS, 2] }));
}

// What is there, its terms, their sum, and what is wanted.
function added(given, parts) {
  const terms = Array.from({ length: parts.shape[0] }, (_, i) => row(parts, i));
  const [now, wish] = [row(given, 0), row(given, 1)];
  const sum = Object.assign(now.map((value, i) => terms.reduce((total, term) => total + term[i], value)), { shape: now.shape });
  return [now, ...terms, sum, wish];
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

function shares({ reached, plain, numbers }, width, style) {
  const [left, right] = [118, width - 150];
  const rows = [["these terms", reached, `, ${many(numbers)}`, style.variant("GLoRA").colour], ["LoRA, rank 2", plain, "", style.variant("LoRA").colour]];
  return rows.flatMap(([name, share, said, colour], i) => {
    const y = SHARES + 30 * i;
    return [words(name, left - 10, y + 4, { "text-anchor": "end" }), rule(left, y - 10, left, y + 10, style.quiet),
      svg("rect", { x: left, y: y - 8, width: Math.max(1, (right - left) * share), height: 16, fill: colour }),
      words(`${percent(share)}${said}`, left + (right - left) * share + 8, y + 4)];
  });
}

export default explorer((stage) => inPixels(stage, HEIGHT, ({ state, answer, style }, width) => {
  const paints = { signs: [style.variant("rsLoRA").colour, style.role("trainable").colour], ground: style.grid };
  const cell = Math.min(MOST, Math.floor((2 * (width - 4 * GAP)) / (5 * COLUMNS)) / 2);
  const panels = (names, matrices, said) => names.map((name, i) => ({ name, matrix: matrices[i], said: said[i] }));
  const weight = panels(["W₀", "W₀ ⊙ A", "B", "W", "wanted W"], added(answer.layer, answer.added),
    [`${ROWS} × ${COLUMNS}`, `A: ${state.A}`, `B: ${state.B}`, `W − W₀: rank ${answer.rank}`, ""]);
  const bias = panels(["b₀", "W₀C", "D ⊙ b₀", "E", "b", "wanted b"], thick(added(answer.bias, answer.moved)),
    [`${ROWS}`, `C: ${state.C}`, `D: ${state.D}`, `E: ${state.E}`, "", ""]);
  return [...line(weight, ["", "+", "+", "=", "≈"], 0, cell * COLUMNS + GAP, cell, paints),
    ...line(bias, ["", "+", "+", "+", "=", "≈"], BIAS, (5 * cell * COLUMNS + 4 * GAP) / 6, cell, paints),
    ...shares(answer, width, style)];
}));
