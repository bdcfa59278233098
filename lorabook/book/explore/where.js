// Above: the seven matrices of a layer with the adapters of this choice, to scale; a click puts an adapter on or takes it
// off. Below: the loss of every recorded choice, a row for each number of matrices; a click makes a choice. Then its cost.
import { element } from "./controls.js";
import { explorer } from "./explorer.js";
import { count, percent, row } from "./numbers.js";
import { rule, soft, upright, words } from "./panel.js";
import { fitted, svg } from "./svg.js";

const [LEFT, RIGHT, NAMES, GAP] = [46, 16, 34, 26];
const [ROW, ROWS] = [25, 7];
const [ATTENTION, MLP] = [0b0001111, 0b1110000];
const NAMED = { 127: "all seven", [ATTENTION]: "attention", [MLP]: "MLP", 5: "q, v" };
const THIN = 2.5; // a strip that is thinner to scale would not be seen

const bold = { "font-weight": 600 };
const bits = (mask) => [...mask.toString(2)].filter((bit) => bit === "1").length;
const middle = (top, mask) => top + ROW * (ROWS - bits(mask) + 0.5); // of the row in which a choice stands
const chosen = (names, mask) => names.filter((_, i) => mask & (1 << i));

function adapter(x, y, wide, high, thick, colour) {
  return [svg("rect", { x: x + wide + 3, y, width: thick, height: high, fill: colour }),
    svg("rect", { x, y: y + high + 3, width: wide, height: thick, fill: colour })];
}

// One matrix with its name; all of it can be clicked.
function matrix(name, x, size, unit, thick, on, style, toggle) {
  const [high, wide] = [...size].map((side) => side * unit);
  const y = NAMES;
  const { colour } = style.role("frozen");
  const node = svg("g", { cursor: "pointer" },
    words(name, x + wide / 2, y - 8, { "text-anchor": "middle", ...(on ? bold : {}) }),
    svg("rect", { x, y, width: wide, height: high, fill: colour, opacity: on ? 1 : 0.4 }),
    ...(on ? adapter(x, y, wide, high, thick, style.role("trainable").colour) : []));
  node.addEventListener("click", () => toggle(name));
  return [node, wide];
}

function layer({ names, sizes, hidden, cost }, mask, width, style, toggle) {
  const sides = names.map((_, i) => row(sizes, i));
  const across = sides.reduce((sum, [, wide]) => sum + wide, 0);
  const unit = Math.min(44, (width - LEFT - RIGHT - GAP * names.length) / across);
  const thick = Math.max(THIN, (cost[0] / hidden) * unit);
  let x = LEFT;
  const nodes = names.map((name, i) => {
    const [node, wide] = matrix(name, x, sides[i], unit, thick, Boolean(mask & (1 << i)), style, toggle);
    x += wide + GAP;
    return node;
  });
  return [nodes, NAMES + Math.max(...sides.map(([high]) => high)) * unit + thick + 8];
}

function axes(from, to, x, top, bottom, start, style) {
  const ticks = Array.from({ length: 20 }, (_, i) => 3.5 + i / 10).filter((value) => value > from && value < to);
  return [
    ...ticks.flatMap((value) => [rule(x(value), top, x(value), bottom, style.grid), soft(value.toFixed(1), x(value), bottom + 16, "middle")]),
    ...Array.from({ length: ROWS }, (_, i) => soft(String(ROWS - i), LEFT - 12, top + ROW * (i + 0.5) + 4, "end")),
    rule(x(start), top, x(start), bottom, style.text, { "stroke-dasharray": "2 4" }), soft("the base", x(start) - 5, top + 12, "end"),
    soft("loss on unseen verses, nats per token", (x(from) + x(to)) / 2, bottom + 34, "middle"),
    upright("matrices adapted", (top + bottom) / 2),
  ];
}

// Filled where a matrix of the MLP is among them.
function point(mask, cx, cy, style) {
  const { colour } = style.role("trainable");
  return svg("circle", { cx, cy, r: 4, stroke: colour, "stroke-width": 2, fill: mask > ATTENTION ? colour : "transparent" });
}

function legend(right, top, style) {
  const rows = [[MLP, "with the MLP"], [ATTENTION, "attention only"]];
  return rows.flatMap(([mask, said], i) => [point(mask, right - 104, top + ROW * (i + 1.5), style), soft(said, right - 94, top + ROW * (i + 1.5) + 4, "start")]);
}

function dots({ names, masks, losses }, x, top, style, choose) {
  return [...masks].map((mask, i) => {
    const dot = point(mask, x(losses[i]), middle(top, mask), style);
    dot.setAttribute("cursor", "pointer");
    dot.append(svg("title", {}, `${chosen(names, mask).join(", ")}: ${losses[i].toFixed(3)}`));
    dot.addEventListener("click", () => choose(mask));
    return dot;
  });
}

// The presets, and each matrix alone; names that would touch stand on two levels.
function labels({ names, masks, losses, here }, x, top, choose) {
  let last = -Infinity;
  const named = [...masks].map((mask, i) => [NAMED[mask] ?? (bits(mask) === 1 ? chosen(names, mask)[0] : ""), mask, losses[i]])
    .filter(([name, mask]) => name && mask !== here).sort(([, , one], [, , other]) => one - other);
  return named.map(([name, mask, loss]) => {
    const low = bits(mask) === 1 && x(loss) - last < 26;
    if (bits(mask) === 1 && !low) last = x(loss);
    const label = words(name, x(loss), middle(top, mask) + (low ? 19 : -7), { "text-anchor": "middle", cursor: "pointer" });
    label.addEventListener("click", () => choose(mask));
    return label;
  });
}

// The choice itself: a ring around its dot, or a word where there is none.
function mark({ masks, losses, here }, x, top, style) {
  const at = masks.indexOf(here);
  return at < 0 ? soft("not trained here", LEFT + 6, middle(top, here) + 4, "start")
    : svg("circle", { cx: x(losses[at]), cy: middle(top, here), r: 8, fill: "none", stroke: style.text, "stroke-width": 2 });
}

function table({ cost, everywhere }, shape) {
  const head = ["", "rank", "trained numbers", "kept for backward", "arithmetic added", "products added"];
  const line = (name, [r, trained, kept, added, products]) => [name, r, count(trained), `${kept.toPrecision(3)} KiB`, percent(added, 2), products];
  const cells = (tag, texts) => element("tr", {}, ...texts.map((text) => element(tag, {}, String(text))));
  return [element("table", {}, cells("th", head), cells("td", line("this choice", cost)), cells("td", line("all seven", everywhere))),
    element("p", { class: "lb-note" }, `Predicted for ${shape}: a layer and token; kept in bf16; both passes; forward pass.`)];
}

export default explorer((stage, { move, notes }) => {
  const choose = (names, mask) => mask && move("where", chosen(names, mask).join(", "));
  const show = fitted(stage, (canvas, { state, answer, style }, width) => {
    const { names, losses, start, here } = answer;
    const toggle = (name) => choose(names, here ^ (1 << names.indexOf(name)));
    const [matrices, foot] = layer(answer, here, width, style, toggle);
    const [top, bottom] = [foot + 26, foot + 26 + ROW * ROWS];
    const [from, to] = [Math.min(...losses) - 0.04, start + 0.03];
    const x = (loss) => LEFT + ((width - LEFT - RIGHT) * (loss - from)) / (to - from);
    const pick = (mask) => choose(names, mask);
    canvas.setAttribute("viewBox", `0 0 ${width} ${bottom + 40}`);
    canvas.replaceChildren(...matrices, ...axes(from, to, x, top, bottom, start, style), ...legend(x(start) - 30, top, style),
      ...dots(answer, x, top, style, pick), ...labels(answer, x, top, pick), mark(answer, x, top, style));
    notes.replaceChildren(...table(answer, state.shape));
  });
  return show;
});
