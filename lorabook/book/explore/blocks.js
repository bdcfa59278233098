// Four matrices side by side, each entry a square: the wanted ΔW, and the nearest to it that one LoRA, n LoRAs on slices,
// and n whole LoRAs can write. The frames in the third are all that its minis can touch.
import { explorer } from "./explorer.js";
import { entries } from "./heat.js";
import { percent } from "./numbers.js";
import { fitted, svg } from "./svg.js";

const [GAP, HEAD, FOOT] = [18, 22, 72];

function words(text, x, y, more = {}) {
  return svg("text", { x, y, "font-size": 12, ...more }, text);
}

function frames(n, x, y, side, colour) {
  const one = side / n;
  return Array.from({ length: n }, (_, i) => svg("rect", { x: x + i * one, y: y + i * one, width: one, height: one,
    fill: "none", stroke: colour, "stroke-width": 1.5 }));
}

function draw(canvas, { answer, style }, width) {
  const columns = width > 540 ? 4 : 2;
  const side = Math.min(190, (width - GAP * (columns - 1)) / columns);
  const [across, down] = [side + (columns === 4 ? (width - 4 * side) / 3 : 2 * GAP), side + HEAD + FOOT];
  const [first] = answer.matrices;
  const most = Math.max(...first.map(Math.abs)) * 0.7;
  const colours = [style.variant("rsLoRA").colour, style.role("trainable").colour];
  canvas.setAttribute("viewBox", `0 0 ${width} ${down * (4 / columns)}`);
  canvas.replaceChildren(...answer.matrices.flatMap((matrix, k) => {
    const [x, y] = [(k % columns) * across, Math.floor(k / columns) * down + HEAD];
    const cell = side / matrix.shape[0];
    const said = [`rank ${answer.ranks[k]}`, `${answer.numbers[k].toLocaleString("en")} ${k ? "numbers" : "entries"}`];
    const last = k ? `reaches ${percent(answer.reached[k])}` : "";
    return [
      words(answer.names[k], x, y - 8, { "font-weight": 600 }),
      svg("rect", { x, y, width: side, height: side, fill: style.grid, opacity: 0.35 }),
      ...entries(matrix, most, x, y, cell, colours),
      ...(k === 2 ? frames(answer.n, x, y, side, style.text) : []),
      ...said.map((text, i) => words(text, x, y + side + 18 + 17 * i, { class: "lb-soft" })),
      words(last, x, y + side + 52, { "font-weight": 600 }),
    ];
  }));
}

export default explorer((stage) => fitted(stage, draw));
