// Above: the singular values of W₀; those left of r go into BA, those right of it stay. Below, over the same axis: the
// four-bit error of W₀, and that of what stays.
import { explorer } from "./explorer.js";
import { percent } from "./numbers.js";
import { svg } from "./svg.js";

const [WIDTH, LEFT, RIGHT, HEIGHT] = [860, 62, 846, 432];
const [TOP, FLOOR] = [44, 218]; // of the bars
const [CEILING, GROUND] = [262, 384]; // of the errors
const TICKS = [1, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512];

const words = (text, x, y, more = {}) => svg("text", { x, y, "font-size": 12.5, ...more }, text);
const soft = (text, x, y, anchor) => words(text, x, y, { "text-anchor": anchor, class: "lb-soft" });
const rule = (x1, y1, x2, y2, stroke, more = {}) => svg("line", { x1, y1, x2, y2, stroke, ...more });

// Two or three round values up to `most`.
function rounds(most) {
  const unit = 10 ** Math.floor(Math.log10(most));
  const step = [0.5, 1, 2, 5].map((m) => m * unit).find((s) => most / s <= 4);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => +(i * step).toPrecision(6));
}

function upright(title, y) {
  return svg("text", { transform: `rotate(-90 14 ${y})`, x: 14, y, "text-anchor": "middle", "font-size": 12.5, class: "lb-soft" }, title);
}

function level(values, place, style, unit = "") {
  return values.flatMap((v) => [rule(LEFT, place(v), RIGHT, place(v), style.grid), soft(`${v}${unit}`, LEFT - 8, place(v) + 4, "end")]);
}

// One path for what is taken, one for what stays: two nodes redraw faster than five hundred.
function bars({ sigma, rank, taken, stays }, x, wide, style) {
  const up = (value) => FLOOR - ((FLOOR - TOP) * value) / sigma[0];
  const path = (from, to, colour) => svg("path", { fill: colour,
    d: Array.from({ length: to - from }, (_, k) => from + k).map((i) => {
      const top = up(sigma[i]);
      return `M${(x(i + 1) - wide / 2).toFixed(1)},${FLOOR}V${top.toFixed(1)}h${wide.toFixed(1)}V${FLOOR}z`;
    }).join("") });
  const [mine, rest] = [style.role("trainable").colour, style.role("residual").colour];
  const key = (colour, text, at, anchor) => {
    const [square, label] = anchor === "start" ? [at, at + 18] : [at - 12, at - 18];
    return [svg("rect", { x: square, y: 12, width: 12, height: 12, fill: colour }), words(text, label, 22, { "text-anchor": anchor, "font-weight": 600 })];
  };
  const n = sigma.length;
  const left = rank < n ? `W_res keeps ${percent(stays)} of ‖W₀‖², σ up to ${sigma[rank].toFixed(2)}` : "nothing stays";
  return [...level(rounds(sigma[0]), up, style), path(0, rank, mine), path(rank, n, rest), upright("σᵢ of W₀", (TOP + FLOOR) / 2),
    ...key(mine, `BA takes ${percent(taken)} of ‖W₀‖², trained`, LEFT, "start"), ...key(rest, left, RIGHT, "end")];
}

function errors({ ranks, errors, own, rank, error, sigma }, x, style) {
  const y = (share) => GROUND - ((GROUND - CEILING) * share) / (own * 1.15);
  const [grey, blue] = [style.role("quantised").colour, style.role("residual").colour];
  const all = [[0, own], ...ranks.map((r, i) => [r, errors[i]])];
  const line = all.map(([r, e], i) => `${i ? "L" : "M"}${x(r).toFixed(1)},${y(e).toFixed(1)}`).join("");
  const late = rank > 0.55 * sigma.length;
  const beside = { "text-anchor": late ? "end" : "start", "font-weight": 600 };
  return [...level(rounds(own * 115).filter((v) => v < own * 115), (v) => y(v / 100), style, "%"), upright("4-bit error", (CEILING + GROUND) / 2),
    rule(LEFT, y(own), RIGHT, y(own), grey, { "stroke-width": 2, "stroke-dasharray": "8 5" }),
    words(`of W₀, as QLoRA has it: ${percent(own, 1)} of ‖W₀‖`, RIGHT, y(own) - 7, { "text-anchor": "end" }),
    svg("path", { d: line, fill: "none", stroke: blue, "stroke-width": 3 }),
    svg("circle", { cx: x(rank), cy: y(error), r: 5.5, fill: blue, stroke: style.text, "stroke-width": 1.5 }),
    words(`of W_res, as QPiSSA has it: ${percent(error, 1)}`, x(rank) + (late ? -12 : 12), y(error) + (late ? -8 : 18), beside)];
}

export default explorer((stage) => {
  const canvas = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  stage.append(canvas);
  return ({ answer, style }) => {
    const n = answer.sigma.length;
    const x = (place) => LEFT + ((RIGHT - LEFT) * place) / (n + 1);
    const wide = Math.max(1, (0.8 * (RIGHT - LEFT)) / (n + 1));
    const edge = x(Math.min(answer.rank + 0.5, n + 1));
    canvas.replaceChildren(
      ...bars(answer, x, wide, style), ...errors(answer, x, style), rule(edge, TOP - 8, edge, FLOOR, style.quiet),
      rule(x(answer.rank), CEILING, x(answer.rank), GROUND, style.quiet),
      ...TICKS.filter((i) => i <= n).flatMap((i) => [soft(String(i), x(i), FLOOR + 16, "middle"), soft(String(i), x(i), GROUND + 16, "middle")]),
      soft("direction i, largest first", (LEFT + RIGHT) / 2, FLOOR + 32, "middle"), soft("rank r", (LEFT + RIGHT) / 2, GROUND + 34, "middle"));
  };
});
