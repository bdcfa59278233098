// Two layers, one frozen pair. In each, b stands beside B's rows, which it scales, and d above B's columns; then the ΔW
// that comes out, and the wanted one. Below: what a whole model trains, and what its file holds.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { bytes, count, percent } from "./numbers.js";
import { fitted, svg } from "./svg.js";

const [SIDE, BAR, TOP, WIDE, FLOAT] = [24, 18, 58, 720, 4];
const LARGE = { cell: 5, most: 170, gaps: [22, 34, 40] };
const SMALL = { cell: 4, most: 112, gaps: [14, 26, 30] };

const words = (text, x, y, more = {}) => svg("text", { x, y, "font-size": 12, ...more }, text);
const soft = (text, x, y, more = {}) => words(text, x, y, { class: "lb-soft", ...more });
const largest = (matrix) => Math.max(...matrix.map(Math.abs));

// One bar a number, from a common line: to the right or upwards where it is positive.
function bars(values, place, colour) {
  const most = largest(values) || 1;
  const d = Array.from(values).map((value, i) => place(i, (BAR * value) / most)).join("");
  return svg("path", { d, fill: colour });
}

function layer(i, { r, plain, answer, style, size }, y) {
  const [frozen, trained] = [style.role("frozen").colour, style.role("trainable").colour];
  const signs = [style.variant("rsLoRA").colour, trained];
  const { cell, most: widest, gaps } = size;
  const across = cell * SIDE;
  const [wide, tall, left] = [Math.min(cell * r, widest), Math.min(cell * r, across), 2 * BAR + 22];
  const [step, at, below] = [wide / r, left + widest + gaps[0], y + across + 16];
  const x1 = at + across + gaps[1];
  const x2 = x1 + across + gaps[2];
  const most = largest(answer.wanted[i]) * 0.7;
  const heat = (matrix, x) => [svg("rect", { x, y, width: across, height: across, fill: style.grid, opacity: 0.35 }),
    ...entries(matrix, most, x, y, cell, signs)];
  const sign = (text, x) => words(text, x, y + across / 2 + 5, { "text-anchor": "middle", "font-size": 16 });
  return [
    words(`layer ${i + 1}`, 0, y - TOP + 14, { "font-weight": 600 }),
    words("b", BAR, y - 8, { "text-anchor": "middle", "font-weight": 600 }),
    words("d", left + wide + 8, y - 20, { "font-weight": 600 }),
    svg("line", { x1: BAR, x2: BAR, y1: y, y2: y + across, stroke: style.quiet }),
    svg("line", { x1: left, x2: left + wide, y1: y - 24, y2: y - 24, stroke: style.quiet }),
    bars(answer.b[i], (k, v) => `M${BAR},${y + cell * k + 0.5}h${v}v${cell - 1}h${-v}z`, trained),
    bars(answer.d[i], (k, v) => `M${left + step * k + step * 0.1},${y - 24}v${-v}h${step * 0.8}v${v}z`, trained),
    svg("rect", { x: left, y, width: wide, height: across, fill: frozen, opacity: 0.75 }),
    svg("rect", { x: at, y: y + (across - tall) / 2, width: across, height: tall, fill: frozen, opacity: 0.75 }),
    soft(i ? "the same B" : `B: 24 × ${r}`, left, below), soft(i ? "the same A" : `A: ${r} × 24`, at, below),
    sign("=", at + across + gaps[1] / 2), sign("≈", x1 + across + gaps[2] / 2),
    words("ΔW", x1, y - 8, { "font-weight": 600 }), words("wanted ΔW", x2, y - 8, { "font-weight": 600 }),
    ...heat(answer.update[i], x1), ...heat(answer.wanted[i], x2),
    words(`VeRA, ${answer.numbers[0]} numbers`, x1, below), words(`reaches ${percent(answer.reached[i])}`, x1, below + 15, { "font-weight": 600 }),
    soft(`LoRA r = ${plain}, ${answer.numbers[1]}`, x2, below), soft(`reaches ${percent(answer.plain_reached[i])}`, x2, below + 15),
  ];
}

function counts({ model, plain, answer, style }, y, width) {
  const [lora, vectors, pair] = answer.counts;
  const [frozen, trained] = [style.role("frozen").colour, style.role("trainable").colour];
  const lines = [
    [`LoRA of rank ${plain}`, lora, 0], ["VeRA, b and d", vectors, 0], ["VeRA, the pair saved too", vectors, pair],
  ];
  const [left, right] = [168, 168];
  const scale = (width - left - right) / Math.max(lora, vectors + pair);
  const told = answer.share < 0.995 ? `${percent(answer.share, answer.share < 0.1 ? 1 : 0)} of` : `${answer.share.toFixed(2)} times`;
  return [
    words(`In ${model}: VeRA trains ${told} LoRA's numbers`, 0, y, { "font-weight": 600, "font-size": 13 }),
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
  const size = width < WIDE ? SMALL : LARGE;
  const down = size.cell * SIDE + TOP + 42;
  const picture = { ...state, answer, style, size };
  canvas.setAttribute("viewBox", `0 0 ${width} ${2 * down + 122}`);
  canvas.replaceChildren(...answer.b.flatMap((_, i) => layer(i, picture, TOP + down * i)), ...counts(picture, 2 * down + 14, width));
}

export default explorer((stage) => fitted(stage, draw));
