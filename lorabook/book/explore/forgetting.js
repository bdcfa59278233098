// Left: the forgetting matrix. Right: the angles between the A's, the directions taken, and what they hold of the inputs.
import { explorer } from "./explorer.js";
import { percent, row } from "./numbers.js";
import { svg } from "./svg.js";

const [LEFT, TOP, WIDE, HIGH] = [82, 48, 88, 56];
const SIZES = [[440, 312], [400, 306]]; // side by side where there is room, else one below the other, never smaller
const RIGHT = 4;
const PAIRS = [["A₁", "A₂"], ["A₁", "A₃"], ["A₂", "A₃"]];
const SPAN = 360; // pixels of the meters
const D_IN = 192;
const WORST = 4; // nats, full colour

function words(text, x, y, more = {}) {
  return svg("text", { x, y, "font-size": 12.5, ...more }, text);
}
const soft = { class: "lb-soft", "font-size": 12 };

function cell(answer, i, j, style) {
  const [x, y] = [LEFT + j * WIDE, TOP + i * HIGH];
  const loss = row(answer.loss, i)[j];
  const spread = row(answer.spread, i)[j];
  const damage = row(answer.damage, i)[j];
  const box = { x: x + 2, y: y + 2, width: WIDE - 4, height: HIGH - 4, rx: 3 };
  const middle = x + WIDE / 2;
  const shade = Math.min(1, Math.max(0, damage / WORST)) * 0.55;
  const parts = [svg("rect", { ...box, fill: style.role("false").colour, "fill-opacity": shade, stroke: style.grid })];
  if (i === j) parts.push(svg("rect", { ...box, fill: "none", stroke: style.role("trainable").colour, "stroke-width": 2.5 }));
  const quiet = j < i ? { class: "lb-soft" } : { "font-weight": 600 };
  parts.push(words(loss.toFixed(2), middle, y + 25, { "text-anchor": "middle", "font-size": 14, ...quiet }));
  const below = j > i ? `${damage < 0 ? "−" : "+"}${Math.abs(damage).toFixed(2)}` : j < i ? "" : i ? "learned" : "given";
  const small = spread >= 0.005 && j > i ? `${below} ±${spread.toFixed(2)}` : below;
  parts.push(words(small, middle, y + 43, { "text-anchor": "middle", "font-size": 11.5 }));
  return parts;
}

function matrix(answer, style) {
  const heads = ["before", ...answer.texts.slice(1)].flatMap((name, j) => [
    words(name, LEFT + (j + 0.5) * WIDE, TOP - 8, { "text-anchor": "middle" })]);
  const rows = answer.texts.flatMap((name, i) => [
    words(name, LEFT - 8, TOP + (i + 0.5) * HIGH + 4, { "text-anchor": "end" }),
    ...answer.texts.flatMap((_, j) => cell(answer, i, j, style))]);
  const bottom = TOP + 4 * HIGH + 18;
  return [words("loss on (row) after learning (column), nats per token", 4, 18, { "font-weight": 600 }), ...heads, ...rows,
    words("Small: nats above what it was when learned.", 4, bottom, soft),
    words(answer.seeds > 1 ? `${answer.seeds} seeds, ± half of what they span: the best rate for the three at the end.`
      : "One seed: another rate is better for the three at the end.", 4, bottom + 17, soft)];
}

// A_i lies along the ground line; A_t rises from it by the angle. Dotted: random rows.
function wedge(answer, k, style) {
  const [x, y, size] = [RIGHT + k * 128, 128, 78];
  const tip = (angle, length) => [x + length * Math.cos((angle * Math.PI) / 180), y - length * Math.sin((angle * Math.PI) / 180)];
  const angle = answer.angles[k];
  const ray = (degrees, look) => svg("line", { x1: x, y1: y, x2: tip(degrees, size)[0], y2: tip(degrees, size)[1], ...look });
  const [ax, ay] = tip(angle, 30);
  const arc = svg("path", { d: `M${x + 30},${y}A30,30 0 0,0 ${ax},${ay}`, fill: "none", stroke: style.quiet });
  const chance = style.role("reference").colour;
  const colour = style.role("trainable").colour;
  return [ray(answer.by_chance, { stroke: chance, "stroke-dasharray": "2 4", "stroke-width": 1.5 }), arc,
    ray(0, { stroke: style.role("frozen").colour, "stroke-width": 4 }), ray(angle, { stroke: colour, "stroke-width": 4 }),
    words(PAIRS[k][0], x + size + 6, y + 5), words(`${PAIRS[k][1]}: ${angle.toFixed(0)}°`, x, y + 22, { "font-weight": 600 })];
}

function meter(y, title, parts, note, style) {
  const fills = parts.reduce(({ x, drawn }, { share, role }) => {
    const width = SPAN * share;
    const rect = svg("rect", { x, y: y + 8, width, height: 16, fill: style.role(role).colour, stroke: style.grid });
    return { x: x + width, drawn: [...drawn, rect] };
  }, { x: RIGHT, drawn: [] }).drawn;
  const frame = svg("rect", { x: RIGHT, y: y + 8, width: SPAN, height: 16, fill: "none", stroke: style.quiet });
  return [words(title, RIGHT, y, { "font-weight": 600 }), ...fills, frame, words(note, RIGHT, y + 41, soft)];
}

function right(answer, style) {
  const r = answer.taken[0];
  const last = answer.taken.length - 1;
  const taken = answer.taken.map((n, t) => ({ share: n / D_IN, role: t < last ? "frozen" : "trainable" }));
  const sum = answer.taken.reduce((a, b) => a + b, 0);
  return [words("angle between a new A and the rows of an earlier one", RIGHT, 18, { "font-weight": 600 }),
    ...[0, 1, 2].flatMap((k) => wedge(answer, k, style)),
    words(`dotted: random rows, ${answer.by_chance.toFixed(0)}°`, RIGHT + 230, 40, soft),
    ...meter(188, `${sum} of ${D_IN} input directions taken`, taken,
      `Orthogonal adapters of rank ${r}: room for ⌊${D_IN}/${r}⌋ = ${Math.floor(D_IN / r)} tasks.`, style),
    ...meter(262, `row(A₁) holds ${percent(answer.reached)} of what CAPITALS feeds the layers`,
      [{ share: answer.reached, role: "residual" }], "‖x‖² inside the row space. The rest no orthogonality protects.", style)];
}

export default explorer((stage) => {
  const [losses, apart] = SIZES.map(([width, height]) =>
    svg("svg", { viewBox: `0 0 ${width} ${height}`, style: `width: ${width}px; max-width: 100%` }));
  const panels = document.createElement("div");
  panels.style.cssText = "display: flex; flex-wrap: wrap; gap: 14px 24px";
  panels.append(losses, apart);
  stage.append(panels);
  return ({ answer, style }) => {
    losses.replaceChildren(...matrix(answer, style));
    apart.replaceChildren(...right(answer, style));
  };
});
