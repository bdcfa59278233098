// Above: C ⊗ D = ΔW beside what is wanted; each frame in ΔW is one copy of D. Below: x folded, two or three small
// products, and y unfolded. All squares of a row have one size, so the sides can be compared.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { percent } from "./numbers.js";
import { fitted, svg } from "./svg.js";

const [SIDE, HEAD, FOOT, WIDE] = [24, 24, 44, 720];

function words(text, x, y, more = {}) {
  return svg("text", { x, y, "font-size": 12, ...more }, text);
}

const largest = (matrix) => Math.max(...matrix.map(Math.abs));
const by = ({ shape }) => `${shape[0]} × ${shape[1]}`;

// A matrix with its name above and a line or two below, its middle at half the height of a whole ΔW.
function panel({ name, matrix, said, most }, x, top, cell, paints) {
  const [height, width] = matrix.shape.map((n) => cell * n);
  const y = top + HEAD + (cell * SIDE - height) / 2;
  return [
    words(name, x, y - 7, { "font-weight": 600 }),
    svg("rect", { x, y, width, height, fill: paints.ground, opacity: 0.35 }),
    ...entries(matrix, most, x, y, cell, paints.signs),
    ...said.map((text, i) => words(text, x, y + height + 16 + 15 * i, { class: "lb-soft" })),
  ];
}

// Panels from left to right; `joins` stand between them. A panel is at least as wide as its words. Returns the nodes, and
// where each panel stands.
function line(panels, joins, { top, cell, gap }, paints) {
  const [nodes, places] = [[], []];
  let x = 0;
  panels.forEach((one, i) => {
    places.push(x);
    nodes.push(...panel(one, x, top, cell, paints));
    x += Math.max(cell * one.matrix.shape[1], one.room) + gap;
    nodes.push(words(joins[i] ?? "", x - gap / 2, top + HEAD + (cell * SIDE) / 2 + 5, { "text-anchor": "middle", "font-size": 16 }));
  });
  return { nodes, places };
}

function grid(factor, x, cell, colour) {
  const side = (cell * SIDE) / factor;
  if (side <= cell) return [];
  return Array.from({ length: factor * factor }, (_, i) => svg("rect", { x: x + (i % factor) * side,
    y: HEAD + Math.floor(i / factor) * side, width: side, height: side, fill: "none", stroke: colour, "stroke-width": 1 }));
}

function above(factor, answer, cell, style, paints) {
  const most = largest(answer.wanted) * 0.7;
  const panels = [
    { name: "C", matrix: answer.c, said: [by(answer.c)], most: largest(answer.c), room: 44 },
    { name: answer.whole ? "D" : "D = BA", matrix: answer.d, said: [by(answer.d)], most: largest(answer.d), room: 48 },
    { name: "ΔW", matrix: answer.update, said: [`rank ${answer.rank}, ${answer.numbers} numbers`, `reaches ${percent(answer.reached)}`], most, room: 0 },
    { name: "wanted ΔW", matrix: answer.wanted, said: ["576 entries"], most, room: 0 },
  ];
  const { nodes, places } = line(panels, ["⊗", "=", "≈"], { top: 0, cell, gap: 28 }, paints);
  return [...nodes, ...grid(factor, places[2], cell, style.quiet)];
}

function below(answer, top, narrow, cell, paints) {
  const panels = answer.way.map((matrix, i) => ({
    name: answer.names[i], matrix, most: largest(matrix), room: i === 0 ? 38 : 76,
    said: [by(matrix), ...(answer.products[i] ? [`${answer.products[i]} products`] : [])],
  }));
  const total = answer.products.reduce((sum, n) => sum + n, 0);
  const title = `The same ΔWx in small steps: ${total} products, where the whole ΔW takes ${SIDE * SIDE}`;
  const joins = panels.slice(1).map(() => "→");
  return [words(title, 0, top, { "font-weight": 600, "font-size": 13 }), ...line(panels, joins, { top: top + 8, cell, gap: narrow ? 20 : 26 }, paints).nodes];
}

function draw(canvas, { state, answer, style }, width) {
  const narrow = width < WIDE;
  const cells = narrow ? [6, 4] : [7, 7];
  const paints = { signs: [style.variant("rsLoRA").colour, style.role("trainable").colour], ground: style.grid };
  const middle = cells[0] * SIDE + HEAD + FOOT + 20;
  canvas.setAttribute("viewBox", `0 0 ${width} ${middle + cells[1] * SIDE + HEAD + FOOT}`);
  canvas.replaceChildren(...above(state.factor, answer, cells[0], style, paints), ...below(answer, middle, narrow, cells[1], paints));
}

export default explorer((stage) => fitted(stage, draw));
