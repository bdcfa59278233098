// Two layers, one frozen pair. In each, b stands beside B's rows, which it scales, and d above B's columns; then the ΔW
// that comes out, and the wanted one. Below: what a whole model trains, and what its file holds.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { bytes, count, percent } from "./numbers.js";
import { fitted, svg } from "./svg.js";

const [CELL, SIDE, MOST, BAR, TOP, DOWN] = [5, 24, 170, 20, 62, 214];
const ACROSS = CELL * SIDE;
const FLOAT = 4;

const words = (text, x, y, more = {}) => svg("text", { x, y, "font-size": 12, ...more }, text);
const soft = (text, x, y, more = {}) => words(text, x, y, { class: "lb-soft", ...more });
const largest = (matrix) => Math.max(...matrix.map(Math.abs));

// One bar a number, from a common line: to the right or upwards where it is positive.
function bars(values, place, colour) {
  const most = largest(values) || 1;
  const d = Array.from(values).map((value, i) => place(i, (BAR * value) / most)).join("");
  return svg("path", { d, fill: colour });
}

function layer(i, { r, plain, answer, style }, y) {
  const [frozen, trained] = [style.role("frozen").colour, style.role("trainable").colour];
  const signs = [style.variant("rsLoRA").colour, trained];
  const [wide, tall, left] = [Math.min(CELL * r, MOST), Math.min(CELL * r, ACROSS), 2 * BAR + 34];
  const [step, at] = [wide / r, left + MOST + 22];
  const [x1, x2] = [at + ACROSS + 34, at + 2 * ACROSS + 74];
  const most = largest(answer.wanted[i]) * 0.7;
  const heat = (matrix, x) => [svg("rect", { x, y, width: ACROSS, height: ACROSS, fill: style.grid, opacity: 0.35 }),
    ...entries(matrix, most, x, y, CELL, signs)];
  return [
    words(`layer ${i + 1}`, 0, y - TOP + 14, { "font-weight": 600 }),
    words("b", BAR, y - 8, { "text-anchor": "middle", "font-weight": 600 }),
    words("d", left + wide + 8, y - 22, { "font-weight": 600 }),
    svg("line", { x1: BAR, x2: BAR, y1: y, y2: y + ACROSS, stroke: style.quiet }),
    svg("line", { x1: left, x2: left + wide, y1: y - 27, y2: y - 27, stroke: style.quiet }),
    bars(answer.b[i], (k, v) => `M${BAR},${y + CELL * k + 0.5}h${v}v${CELL - 1}h${-v}z`, trained),
    bars(answer.d[i], (k, v) => `M${left + step * k + step * 0.1},${y - 27}v${-v}h${step * 0.8}v${v}z`, trained),
    svg("rect", { x: left, y, width: wide, height: ACROSS, fill: frozen, opacity: 0.75 }),
    svg("rect", { x: at, y: y + (ACROSS - tall) / 2, width: ACROSS, height: tall, fill: frozen, opacity: 0.75 }),
    soft(`B: 24 × ${r}`, left, y + ACROSS + 16), soft(`A: ${r} × 24`, at, y + ACROSS + 16),
    words("=", at + ACROSS + 17, y + ACROSS / 2 + 5, { "text-anchor": "middle", "font-size": 16 }),
    words("≈", x1 + ACROSS + 20, y + ACROSS / 2 + 5, { "text-anchor": "middle", "font-size": 16 }),
    words("ΔW", x1, y - 8, { "font-weight": 600 }), words("wanted ΔW", x2, y - 8, { "font-weight": 600 }),
    ...heat(answer.update[i], x1), ...heat(answer.wanted[i], x2),
    words(`VeRA, ${answer.numbers[0]} numbers: ${percent(answer.reached[i])}`, x1, y + ACROSS + 16),
    soft(`LoRA of rank ${plain}, ${answer.numbers[1]}: ${percent(answer.plain_reached[i])}`, x2, y + ACROSS + 16),
  ];
}

function counts({ model, plain, answer, style }, y, width) {
  const [lora, vectors, pair] = answer.counts;
  const [frozen, trained] = [style.role("frozen").colour, style.role("trainable").colour];
  const lines = [
    [`LoRA of rank ${plain}`, lora, 0], ["VeRA, b and d", vectors, 0], ["VeRA, the pair saved too", vectors, pair],
  ];
  const [left, right] = [168, 190];
  const scale = (width - left - right) / Math.max(lora, vectors + pair);
  const told = answer.share < 0.995 ? percent(answer.share, answer.share < 0.1 ? 1 : 0) : `${answer.share.toFixed(2)} times`;
  return [
    words(`In ${model}: VeRA trains ${told} of LoRA's numbers`, 0, y, { "font-weight": 600, "font-size": 13 }),
    ...lines.flatMap(([name, open, grey], i) => {
      const at = y + 14 + 24 * i;
      return [
        words(name, left - 10, at + 13, { "text-anchor": "end" }),
        svg("rect", { x: left, y: at, width: Math.max(1, scale * open), height: 17, fill: trained }),
        svg("rect", { x: left + scale * open, y: at, width: scale * grey, height: 17, fill: frozen }),
        words(`${count(open + grey)} numbers, ${bytes(FLOAT * (open + grey))}`, left + scale * (open + grey) + 8, at + 13),
      ];
    }),
    soft("file sizes in float32; grey is not trained", left, y + 100),
  ];
}

function draw(canvas, { state, answer, style }, width) {
  const picture = { ...state, answer, style };
  const wide = Math.max(width, 720);
  canvas.setAttribute("viewBox", `0 0 ${wide} ${2 * DOWN + 122}`);
  canvas.replaceChildren(...answer.b.flatMap((_, i) => layer(i, picture, TOP + DOWN * i)), ...counts(picture, 2 * DOWN + 14, wide));
}

export default explorer((stage) => fitted(stage, draw));
