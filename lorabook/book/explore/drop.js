// Left: what each layer's adapter does, or how large it is, and who keeps it. Right: the loss over the trained numbers.
import { explorer } from "./explorer.js";
import { count, row } from "./numbers.js";
import { levels, rule, soft, words } from "./panel.js";
import { fitted, marker, svg } from "./svg.js";

const [TOP, HIGH, LEFT, GAP] = [46, 210, 52, 66];
const PER_LAYER = 7;
const [OWN, SHARES] = [2, 1];
const WIDE = 760; // below that the losses stand under the bars
const WAYS = ["by effect", "by size of ΔW", "by chance", "by effect, nobody shares"];
const NAMES = ["by effect: LoRA-drop", ...WAYS.slice(1)];
const BY_SIZE = WAYS[1];
const LORA = "LoRA everywhere, r = 1, 2, 4, 8";
const [LINE, DASHES] = [18, ["", "9 3 2 3", "", "9 3"]];
const bold = { "font-weight": 600 };

function looks(style) {
  const [effect, size, alone] = ["LoRA-drop", "rsLoRA", "DoRA"].map(style.variant);
  return [effect, size, { colour: style.quiet, marker: "cross" }, alone].map((look, i) => ({ ...look, dash: DASHES[i] }));
}

function bar(i, answer, x, wide, y, style) {
  const [share, kept] = [100 * answer.shares[i], answer.kept[i]];
  const [trained, frozen] = ["trainable", "frozen"].map((role) => style.role(role).colour);
  const paint = kept === OWN ? { fill: trained } : { fill: kept === SHARES ? trained : frozen, "fill-opacity": kept === SHARES ? 0.22 : 0.12,
    stroke: kept === SHARES ? trained : frozen, "stroke-width": 1.2, "stroke-dasharray": "3 2" };
  const [middle, foot] = [x + wide / 2, TOP + HIGH];
  const signs = [[], [marker("circle", middle, foot + 50, 3, trained)], [marker("square", middle, foot + 50, 4.2, trained)]];
  if (kept === SHARES) Object.assign(signs[SHARES][0].style, { fill: "none", stroke: trained, strokeWidth: 1.8 });
  const up = { transform: `rotate(-90 ${middle + 4} ${foot + 38})`, class: "lb-soft", "font-size": 11.5 };
  const box = svg("rect", { x: x + 1.5, y: y(share), width: wide - 3, height: foot - y(share), ...paint });
  box.append(svg("title", {}, `${answer.layers[i]}, layer ${Math.floor(i / PER_LAYER)}: ${share.toFixed(1)}%`));
  return [box, words(answer.layers[i], middle + 4, foot + 38, up), ...signs[kept]];
}

function bars({ state, answer, style }, width) {
  const wide = (width - LEFT) / answer.layers.length;
  const most = 100 * Math.max(...answer.shares);
  const y = (share) => TOP + HIGH - (HIGH * share) / (most * 1.05);
  const step = most > 15 ? 5 : 2;
  const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => step * i);
  const borders = answer.layers.flatMap((_, i) => (i % PER_LAYER ? [] : [
    rule(LEFT + wide * i, TOP - 8, LEFT + wide * i, TOP + HIGH + 56, style.grid), soft(`layer ${i / PER_LAYER}`, LEFT + wide * i + 5, TOP + 6, "start")]));
  const trained = style.role("trainable").colour;
  const legend = TOP + HIGH + 80;
  const ring = marker("circle", LEFT + 116, legend - 4, 3, trained);
  Object.assign(ring.style, { fill: "none", stroke: trained, strokeWidth: 1.8 });
  const what = state.way === BY_SIZE ? "Share of the size ‖ΔW‖²" : "Share of the effect E‖ΔWx‖²";
  return [words(`${what}, after 12 steps`, LEFT - 36, 16, bold),
    ...levels(ticks, y, LEFT, width, style, "%"), ...borders,
    ...answer.layers.flatMap((_, i) => bar(i, answer, LEFT + wide * i, wide, y, style)),
    marker("square", LEFT + 5, legend - 4, 4.2, trained), soft("keeps its own", LEFT + 15, legend, "start"),
    ring, soft("shares", LEFT + 125, legend, "start"), soft("no mark: no adapter", LEFT + 190, legend, "start")];
}

const path = (xs, ys) => xs.map((x, i) => `${i ? "L" : "M"}${x},${ys[i]}`).join("");

function line(xs, ys, { colour, dash, marker: symbol }, strong) {
  return [svg("path", { d: path(xs, ys), fill: "none", stroke: colour, "stroke-width": strong ? 3 : 1.4, "stroke-dasharray": dash }),
    ...xs.map((x, i) => marker(symbol, x, ys[i], strong ? 4.5 : 3, colour))];
}

function losses({ state, answer, style }, left, top, width) {
  const all = [...answer.low, ...answer.high, ...row(answer.lora, 1)];
  const [from, to] = [Math.min(...all) - 0.01, Math.max(...all) + 0.01];
  const most = Math.max(...row(answer.lora, 0));
  const x = (n) => left + 44 + ((width - 54) * n) / most;
  const y = (loss) => top + HIGH - (HIGH * (loss - from)) / (to - from);
  const ticks = Array.from({ length: 30 }, (_, i) => 3.5 + i / 20).filter((value) => value > from && value < to);
  const way = WAYS.indexOf(state.way);
  const at = (array, i) => [...row(array, i)];
  const reference = { ...style.role("reference"), dash: "2 4", marker: "star" };
  const [strokes, xs] = [looks(style), WAYS.map((_, i) => at(answer.numbers, i).map(x))];
  const band = [...xs[way].map((value, i) => [value, y(at(answer.low, way)[i])]), ...xs[way].map((value, i) => [value, y(at(answer.high, way)[i])]).reverse()];
  const legend = top + HIGH + 60;
  return [words("Loss on unseen verses, nats per token", left + 8, top - 30, bold),
    ...ticks.flatMap((value) => [rule(x(0), y(value), x(most), y(value), style.grid), soft(value.toFixed(2), x(0) - 6, y(value) + 4, "end")]),
    ...[0, 40000, 80000].map((n) => soft(n ? count(n).replace(".0", "") : "0", x(n), top + HIGH + 18, "middle")),
    soft("trained numbers", x(most / 2), top + HIGH + 36, "middle"),
    svg("path", { d: `${path(band.map(([a]) => a), band.map(([, b]) => b))}Z`, fill: strokes[way].colour, opacity: 0.16 }),
    ...WAYS.flatMap((_, i) => (i === way ? [] : line(xs[i], at(answer.losses, i).map(y), strokes[i], false))),
    ...line(at(answer.lora, 0).map(x), at(answer.lora, 1).map(y), reference, false),
    ...line(xs[way], at(answer.losses, way).map(y), strokes[way], true),
    svg("circle", { cx: x(answer.trained), cy: y(answer.loss), r: 8, fill: "none", stroke: style.text, "stroke-width": 2 }),
    ...[...strokes, reference].flatMap((look, i) => [
      ...line([left + 12, left + 40], [legend + LINE * i - 4, legend + LINE * i - 4], look, i === way),
      words([...NAMES, LORA][i], left + 48, legend + LINE * i, i === way ? bold : {})]),
    soft("band: five seeds; ring: this seed", left + 12, legend + LINE * 5 + 2, "start")];
}

function draw(canvas, picture, width) {
  const beside = width >= WIDE;
  const right = 300;
  const wide = beside ? width - right - GAP / 2 : width;
  const under = TOP + HIGH + 96;
  const foot = TOP + HIGH + 60 + LINE * 5 + 12;
  canvas.setAttribute("viewBox", `0 0 ${width} ${beside ? foot : under + foot}`);
  canvas.replaceChildren(...bars(picture, wide), ...losses(picture, beside ? width - right : 0, beside ? TOP : TOP + under, beside ? right : width));
}

export default explorer((stage) => fitted(stage, draw));
