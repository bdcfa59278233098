// Above: C ⊗ D = ΔW beside what is wanted; each frame in ΔW is one copy of D. Below: x folded, two or three small
// products, and y unfolded. All squares of a row have one size, so the sides can be compared.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { percent } from "./numbers.js";
import { fitted, svg } from "./svg.js";

const [CELL, SIDE, HEAD, FOOT, BETWEEN] = [7, 24, 24, 50, 26];
const DOWN = CELL * SIDE + HEAD + FOOT;

function words(text, x, y, more = {}) {
  return svg("text", { x, y, "font-size": 12, ...more }, text);
}

const wide = (matrix) => CELL * matrix.shape[1];
const largest = (matrix) => Math.max(...matrix.map(Math.abs));

// A matrix with its name above and a line or two below, its middle at half the height of a whole ΔW.
function panel({ name, matrix, said, most }, x, top, paints) {
  const height = CELL * matrix.shape[0];
  const y = top + HEAD + (CELL * SIDE - height) / 2;
  return [
    words(name, x, y - 7, { "font-weight": 600 }),
    svg("rect", { x, y, width: wide(matrix), height, fill: paints.ground, opacity: 0.35 }),
    ...entries(matrix, most, x, y, CELL, paints.signs),
    ...said.map((text, i) => words(text, x, y + height + 16 + 15 * i, { class: "lb-soft" })),
  ];
}

// Panels from left to right; `joins` stand between them. A panel is at least as wide as its words.
function line(panels, joins, x, top, gap, paints) {
  return panels.flatMap((one, i) => {
    const at = x;
    const room = Math.max(wide(one.matrix), one.room ?? 0);
    x += room + gap;
    const join = words(joins[i] ?? "", at + room + gap / 2, top + HEAD + (CELL * SIDE) / 2 + 5, { "text-anchor": "middle", "font-size": 16 });
    return [...panel(one, at, top, paints), join];
  });
}

function grid(factor, x, top, colour) {
  const [side, y] = [(CELL * SIDE) / factor, top + HEAD];
  if (side <= CELL) return [];
  return Array.from({ length: factor * factor }, (_, i) => svg("rect", { x: x + (i % factor) * side,
    y: y + Math.floor(i / factor) * side, width: side, height: side, fill: "none", stroke: colour, "stroke-width": 1 }));
}

const by = ({ shape }) => `${shape[0]} × ${shape[1]}`;

function above({ factor, answer, style, paints }) {
  const most = largest(answer.wanted) * 0.7;
  const [c, d] = [largest(answer.c), largest(answer.d)];
  const panels = [
    { name: "C", matrix: answer.c, said: [by(answer.c)], most: c, room: 60 },
    { name: answer.whole ? "D" : "D = BA", matrix: answer.d, said: [by(answer.d)], most: d, room: 60 },
    { name: "ΔW", matrix: answer.update, said: [`rank ${answer.rank}, ${answer.numbers} numbers`, `reaches ${percent(answer.reached)}`], most },
    { name: "wanted ΔW", matrix: answer.wanted, said: ["576 entries"], most },
  ];
  const x = panels.slice(0, 2).reduce((sum, { matrix, room }) => sum + Math.max(wide(matrix), room) + 40, 0);
  return [...line(panels, ["⊗", "=", "≈"], 0, 0, 40, paints), ...grid(factor, x, 0, style.quiet)];
}

function below({ answer, paints }) {
  const products = answer.products.map((n) => (n ? [`${n} products`] : []));
  const panels = answer.way.map((matrix, i) => ({
    name: answer.names[i], matrix, said: [by(matrix), ...products[i]], most: largest(matrix), room: i === 0 ? 46 : 82,
  }));
  const total = answer.products.reduce((sum, n) => sum + n, 0);
  const top = DOWN + BETWEEN;
  return [
    words(`The same ΔWx in two small steps: ${total} products, where the whole ΔW takes ${SIDE * SIDE}`, 0, top - 6, { "font-weight": 600, "font-size": 13 }),
    ...line(panels, panels.map(() => "→").slice(0, -1), 0, top, 26, paints),
  ];
}

function draw(canvas, { state, answer, style }, width) {
  const paints = { signs: [style.variant("rsLoRA").colour, style.role("trainable").colour], ground: style.grid };
  const picture = { factor: state.factor, answer, style, paints };
  canvas.setAttribute("viewBox", `0 0 ${Math.max(width, 700)} ${2 * DOWN + BETWEEN}`);
  canvas.replaceChildren(...above(picture), ...below(picture));
}

export default explorer((stage) => fitted(stage, draw));
