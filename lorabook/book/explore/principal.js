// Above: the singular values of W₀; those left of r go into BA, those right of it stay. Below, over the same axis: the
// four-bit error of W₀, and that of what stays. Drawn in the page's own pixels, so that no letter shrinks with the window.
import { explorer } from "./explorer.js";
import { percent } from "./numbers.js";
import { inPixels, levels, rule, soft, upright, words } from "./panel.js";
import { svg } from "./svg.js";

const [LEFT, HEIGHT] = [54, 412];
const [TOP, FLOOR] = [34, 196]; // of the bars
const [CEILING, GROUND] = [268, 368]; // of the errors
const TICKS = [1, 16, 32, 64, 96, 128, 160, 192, 256, 384, 512];

// Two to five round values up to `most`.
function rounds(most) {
  const unit = 10 ** Math.floor(Math.log10(most));
  const step = [0.5, 1, 2, 5].map((m) => m * unit).find((s) => most / s <= 4);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => +(i * step).toPrecision(6));
}

// What a colour means, above a panel: a mark and words, from the left edge or up to the right one.
function key(mark, text, right, y) {
  return right === undefined ? [mark(LEFT, y), words(text, LEFT + 24, y + 4, { "font-weight": 600 })]
    : [words(text, right - 24, y + 4, { "text-anchor": "end", "font-weight": 600 }), mark(right - 18, y)];
}

const square = (colour) => (x, y) => svg("rect", { x, y: y - 6, width: 12, height: 12, fill: colour });

// One path for what is taken, one for what stays: two nodes redraw faster than five hundred.
function bars({ sigma, rank, taken, stays }, x, right, style) {
  const up = (value) => FLOOR - ((FLOOR - TOP) * value) / sigma[0];
  const [n, wide] = [sigma.length, 0.8 * (x(2) - x(1))];
  const path = (from, to, colour) => svg("path", { fill: colour,
    d: Array.from({ length: to - from }, (_, k) => from + k).map((i) =>
      `M${(x(i + 1) - wide / 2).toFixed(1)},${FLOOR}V${up(sigma[i]).toFixed(1)}h${wide.toFixed(1)}V${FLOOR}z`).join("") });
  const [mine, rest] = [style.role("trainable").colour, style.role("residual").colour];
  return [...levels(rounds(sigma[0]), up, LEFT, right, style), path(0, rank, mine), path(rank, n, rest), upright("σᵢ of W₀", (TOP + FLOOR) / 2),
    ...key(square(mine), `BA takes ${percent(taken)} of ‖W₀‖²`, undefined, 14),
    ...key(square(rest), rank < n ? `W_res keeps ${percent(stays)}` : "nothing stays", right, 14)];
}

function errors({ ranks, errors, own, rank, error }, x, right, style) {
  const y = (share) => GROUND - ((GROUND - CEILING) * share) / (own * 1.15);
  const [grey, blue] = [style.role("quantised").colour, style.role("residual").colour];
  const line = [[0, own], ...ranks.map((r, i) => [r, errors[i]])].map(([r, e], i) => `${i ? "L" : "M"}${x(r).toFixed(1)},${y(e).toFixed(1)}`);
  const dashed = { "stroke-width": 2, "stroke-dasharray": "6 4" };
  const dot = (cx, cy) => svg("circle", { cx, cy, r: 5.5, fill: blue, stroke: style.text, "stroke-width": 1.5 });
  return [...levels(rounds(own * 115).filter((v) => v < own * 115), (v) => y(v / 100), LEFT, right, style, "%"),
    upright("of ‖W₀‖", (CEILING + GROUND) / 2), rule(LEFT, y(own), right, y(own), grey, dashed),
    svg("path", { d: line.join(""), fill: "none", stroke: blue, "stroke-width": 3 }), dot(x(rank), y(error)),
    ...key((at, h) => dot(at + 6, h), `4-bit error of W_res: ${percent(error, 1)}`, undefined, 248),
    ...key((at, h) => rule(at, h, at + 18, h, grey, dashed), `of W₀: ${percent(own, 1)}`, right, 248)];
}

function picture(answer, width, style) {
  const [n, right] = [answer.sigma.length, width - 14];
  const x = (place) => LEFT + ((right - LEFT) * place) / (n + 1);
  const [edge, at] = [x(Math.min(answer.rank + 0.5, n + 1)), x(answer.rank)];
  const shown = TICKS.filter((i) => i <= n);
  const ticks = (floor) => shown.map((i) => soft(String(i), x(i), floor + 16, "middle"));
  return [rule(edge, TOP, edge, FLOOR, style.quiet), rule(at, CEILING, at, GROUND, style.quiet), ...bars(answer, x, right, style),
    ...errors(answer, x, right, style), ...ticks(FLOOR), ...ticks(GROUND),
    soft("direction i, largest first", (LEFT + right) / 2, FLOOR + 34, "middle"), soft("rank r", (LEFT + right) / 2, GROUND + 34, "middle")];
}

export default explorer((stage) => inPixels(stage, HEIGHT, ({ answer, style }, width) => picture(answer, width, style)));
