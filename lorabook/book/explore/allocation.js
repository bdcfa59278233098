// Left: every triplet of the model as a dot at its score, a column a matrix, and one cut through all of them.
// Right: the budget over the steps, what it is cut to, and LoRA's of the same mean rank.
import { explorer } from "./explorer.js";
import { levels, rule, soft, words } from "./panel.js";
import { row } from "./numbers.js";
import { fitted, marker, svg } from "./svg.js";

const LETTERS = { q_proj: "q", k_proj: "k", v_proj: "v", o_proj: "o", gate_proj: "gate", up_proj: "up", down_proj: "dn" };
const [TOP, HIGH, FOOT, LEFT, RIGHT, MARGIN] = [46, 250, 62, 52, 262, 54];
const SCORES = [-13, -3];
const WIDE = 760; // below that the budget stands under the dots

const short = (name) => LETTERS[name.split(".").at(-1)];
const layer = (name) => name.match(/\d+/)[0];
const strong = { "font-weight": 600 };

function between([from, to], low, high) {
  return (value) => low + ((high - low) * (Math.min(to, Math.max(from, value)) - from)) / (to - from);
}

function dots(answer, width, style) {
  const [wide, columns] = [(width - LEFT) / answer.matrices.length, answer.scores.shape[1]];
  const y = between(SCORES, TOP + HIGH, TOP);
  const [live, masked] = [style.role("trainable").colour, style.quiet];
  const of = (i) => LEFT + wide * i;
  const found = answer.matrices.flatMap((_, i) => [...row(answer.scores, i)].map((score, k) => {
    const [x, alive] = [of(i) + wide * (0.18 + (0.64 * k) / (columns - 1)), row(answer.lives, i)[k]];
    if (alive) return svg("circle", { cx: x, cy: y(score), r: 3.4, fill: live, ...(alive > 1 ? { stroke: style.text, "stroke-width": 2, r: 5 } : {}) });
    return svg("circle", { cx: x, cy: y(score), r: 2.4, fill: "none", stroke: masked, opacity: 0.7 });
  }));

  const cut = answer.cut === null ? [] : [rule(LEFT, y(answer.cut), width, y(answer.cut), style.text, { "stroke-dasharray": "7 4", "stroke-width": 1.5 }),
    words("the cut", width + 5, y(answer.cut) + 4, strong)];
  return [...cut, ...found];
}

function frame(answer, width, style) {
  const wide = (width - LEFT) / answer.matrices.length;
  const y = between(SCORES, TOP + HIGH, TOP);
  const again = [...answer.lives].some((value) => value > 1);
  const powers = [-12, -10, -8, -6, -4];
  const lines = powers.flatMap((power) => [rule(LEFT, y(power), width, y(power), style.grid), soft(`1e${power}`.replace("-", "−"), LEFT - 6, y(power) + 4, "end")]);
  const columns = answer.matrices.flatMap((name, i) => {
    const x = LEFT + wide * (i + 0.5);
    const first = i === 0 || layer(name) !== layer(answer.matrices[i - 1]);
    const upright = { transform: `rotate(-90 ${x + 4} ${TOP + HIGH + 34})`, "text-anchor": "start", class: "lb-soft", "font-size": 11 };
    return [
      ...(first ? [rule(x - wide / 2, TOP - 6, x - wide / 2, TOP + HIGH + 36, style.quiet), soft(`layer ${layer(name)}`, x - wide / 2 + 5, TOP - 8, "start")] : []),
      words(short(name), x + 4, TOP + HIGH + 34, upright),
      words(answer.ranks[i] || "·", x, TOP + HIGH + 54, { "text-anchor": "middle", ...(answer.ranks[i] ? strong : { class: "lb-soft" }) }),
    ];
  });
  return [words("Score S of each triplet, log scale", LEFT, 14, strong), soft(again ? "ringed: lives again" : "orange lives, grey is masked", width, 14, "end"), ...lines, ...columns, soft("rank", LEFT - 6, TOP + HIGH + 54, "end")];
}

function path(x, y, values, look) {
  return svg("path", { fill: "none", d: values.map((v, t) => `${t ? "L" : "M"}${x(t)},${y(v)}`).join(""), ...look });
}

function budget({ state, answer, style }, left, top, width) {
  const [living, plan] = [[...answer.living], [...answer.budget]];
  const [last, most] = [living.length - 1, living[0]];
  const [x, y] = [between([0, last], left + 40, left + width - 8), between([0, most], top + HIGH, top)];
  const band = (from, to, text) => (to <= from ? [] : [
    svg("rect", { x: x(from), y: top, width: x(to) - x(from), height: HIGH, fill: style.quiet, opacity: 0.1 }),
    soft(text, from ? x(to) - 4 : x(from) + 4, top + HIGH - 8, from ? "end" : "start")]);
  const stairs = living.flatMap((v, t) => (t ? [[t, living[t - 1]], [t, v]] : [[t, v]]));
  const colour = style.role("trainable").colour;
  return [
    words("Triplets that live", left + 40, top - 32, strong),
    ...levels([0, 50, 100, 150], y, left + 40, left + width - 8, style),
    ...band(0, state.warm_up, "warm-up"), ...band(last + 1 - state.final, last, "final"),
    path(x, y, plan, { stroke: style.quiet, "stroke-width": 1.5, "stroke-dasharray": "2 3" }),
    svg("path", { fill: "none", stroke: colour, "stroke-width": 2.5, d: stairs.map(([t, v], i) => `${i ? "L" : "M"}${x(t)},${y(v)}`).join("") }),
    rule(x(0), y(answer.uniform), x(last), y(answer.uniform), style.role("reference").colour, { "stroke-dasharray": "2 4", "stroke-width": 1.5 }),
    words(`LoRA r = ${state.target}: ${answer.uniform}`, x(0) + 4, y(answer.uniform) + (answer.uniform < 40 ? -6 : 16)),
    marker("circle", x(state.t), y(living[state.t]), 5.5, style.text),
    words(`${living[state.t]}`, x(state.t) + (state.t > 45 ? -8 : 9), y(living[state.t]) - 8, { "text-anchor": state.t > 45 ? "end" : "start", ...strong }),
    ...[0, 20, 40, last].map((t) => soft(`${t}`, x(t), top + HIGH + 18, "middle")),
    soft("step t; dotted curve: b(t)", (x(0) + x(last)) / 2, top + HIGH + 38, "middle"),
  ];
}

function draw(canvas, picture, width) {
  const beside = width >= WIDE;
  const wide = (beside ? width - RIGHT : width) - MARGIN;
  const down = TOP + HIGH + FOOT;
  canvas.setAttribute("viewBox", `0 0 ${width} ${beside ? down : 2 * down}`);
  const place = beside ? [width - RIGHT, TOP] : [LEFT - 40, TOP + down];
  canvas.replaceChildren(...frame(picture.answer, wide, picture.style), ...dots(picture.answer, wide, picture.style),
    ...budget(picture, ...place, RIGHT));
}

export default explorer((stage) => fitted(stage, draw));
