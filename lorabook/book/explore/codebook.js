// Above: the codes on the number line, with the weights of the outlier's block under them. Below: all weights, what they
// come back as, and an outlier to drag.
import { explorer } from "./explorer.js";
import { marker, svg } from "./svg.js";

const [WIDTH, LEFT, RIGHT] = [900, 176, 884];
const [LINES, GAP, FLOOR, CEILING] = [34, 30, 480, 196]; // first number line, their distance; bottom and top of the plot
const [LOW, HIGH] = [-3.6, 8.6];
const onLine = (code) => LEFT + ((RIGHT - LEFT) * (code + 1)) / 2;
const across = (i, n) => 56 + ((RIGHT - 56) * (i + 0.5)) / n;
const up = (value) => FLOOR - ((FLOOR - CEILING) * (value - LOW)) / (HIGH - LOW);

function words(text, x, y, more = {}) {
  return svg("text", { x, y, "font-size": 12.5, ...more }, text);
}

const signed = (v) => String(v).replace("-", "−");

function rule(x1, y1, x2, y2, colour, more = {}) {
  return svg("line", { x1, y1, x2, y2, stroke: colour, ...more });
}

function numberLines({ books, codes, used }, chosen, style) {
  const looks = [
    { colour: style.role("quantised").colour, symbol: "circle" },
    { colour: style.role("false").colour, symbol: "diamond", dash: "5 4" },
    { colour: style.variant("rsLoRA").colour, symbol: "square" },
  ];
  return books.flatMap((name, i) => {
    const [y, on, { colour, symbol, dash }] = [LINES + i * GAP, name === chosen, looks[i]];
    const dots = [...codes[i]].map((code, place) => {
      const dot = marker(symbol, onLine(code), y, on ? 6 : 4, colour);
      if (on && !used.includes(place)) for (const [key, value] of Object.entries({ "fill-opacity": 0, stroke: colour, "stroke-width": 1.5 })) dot.setAttribute(key, value);
      return dot;
    });
    return [words(name, LEFT - 16, y + 4, { "text-anchor": "end", "font-weight": on ? 600 : 400, class: on ? "" : "lb-soft" }),
      rule(LEFT, y, RIGHT, y, colour, { "stroke-dasharray": dash ?? "", opacity: on ? 1 : 0.5 }), ...dots];
  });
}

function rug(scaled, style) {
  const y = LINES + 3 * GAP;
  const ticks = [...scaled].map((w) => `M${onLine(w).toFixed(1)},${y - 8}v16`).join("");
  const scale = [-1, -0.5, 0, 0.5, 1].map((v) => words(signed(v), onLine(v), y + 28, { "text-anchor": "middle", class: "lb-soft" }));
  return [words("the block's w / absmax", LEFT - 16, y + 4, { "text-anchor": "end" }),
    svg("path", { d: ticks, stroke: style.text, "stroke-width": 1.5, opacity: 0.7 }), ...scale];
}

function plane({ at, weights }, block, style) {
  const n = weights.length;
  const first = Math.floor(at / block) * block;
  const wide = (RIGHT - 56) / n;
  const grid = [-2, 0, 2, 4, 6, 8].flatMap((v) => [rule(56, up(v), RIGHT, up(v), style.grid),
    words(signed(v), 48, up(v) + 4, { "text-anchor": "end", class: "lb-soft" })]);
  const edges = Array.from({ length: n / block - 1 }, (_, i) => 56 + (i + 1) * block * wide);
  return [svg("rect", { x: 56 + first * wide, y: CEILING, width: block * wide, height: FLOOR - CEILING, fill: style.variant("QLoRA").colour, opacity: 0.13 }),
    ...grid, ...edges.map((x) => rule(x, CEILING, x, FLOOR, style.quiet, { "stroke-dasharray": "2 4" })),
    words("value (σ)", 16, (FLOOR + CEILING) / 2, { transform: `rotate(-90 16 ${(FLOOR + CEILING) / 2})`, "text-anchor": "middle", class: "lb-soft" }),
    words(`${n} weights in blocks of ${block}`, (RIGHT + 56) / 2, FLOOR + 20, { "text-anchor": "middle", class: "lb-soft" })];
}

// One path for all weights, one for all ŵ, one for all errors: three nodes redraw faster than eight hundred.
function cloud({ weights, restored, at }, style) {
  const colour = style.variant("QLoRA").colour;
  const block = restored[0].length;
  const paths = ["", "", ""];
  weights.forEach((w, i) => {
    const [x, y, back] = [across(i, weights.length), up(w), up(restored[Math.floor(i / block)][i % block])].map((v) => +v.toFixed(1));
    paths[0] += `M${x},${y}V${back}`;
    paths[1] += `M${x - 2},${back - 1.5}h4v3h-4z`;
    if (i !== at) paths[2] += `M${x - 1.7},${y}a1.7,1.7 0 1,0 3.4,0a1.7,1.7 0 1,0 -3.4,0`;
  });
  return [svg("path", { d: paths[0], stroke: colour, "stroke-width": 1.2 }), svg("path", { d: paths[1], fill: colour }),
    svg("path", { d: paths[2], fill: style.text })];
}

function key(style) {
  const [y, colour] = [CEILING - 12, style.variant("QLoRA").colour];
  const items = [[marker("circle", 560, y - 4, 2.5, style.text), "weight w", 570],
    [svg("rect", { x: 650, y: y - 6, width: 8, height: 5, fill: colour }), "comes back as ŵ", 664],
    [rule(790, y + 2, 790, y - 10, colour, { "stroke-width": 1.5 }), "error", 798]];
  return items.flatMap(([shape, text, x]) => [shape, words(text, x, y, { class: "lb-soft" })]);
}

function handle(style) {
  const ring = svg("circle", { r: 8, fill: "none", stroke: style.text, "stroke-width": 2 });
  return svg("g", { style: "cursor: ns-resize; touch-action: none" }, svg("circle", { r: 18, fill: "transparent" }), ring, svg("circle", { r: 3, fill: style.text }));
}

// Dragging asks for the nearest value that the slider has.
function draggable(node, canvas, outliers, move) {
  node.addEventListener("pointerdown", (event) => { node.setPointerCapture(event.pointerId); event.preventDefault(); });
  node.addEventListener("pointermove", (event) => {
    if (!node.hasPointerCapture(event.pointerId)) return;
    const y = new DOMPoint(event.clientX, event.clientY).matrixTransform(canvas.getScreenCTM().inverse()).y;
    const value = LOW + ((HIGH - LOW) * (FLOOR - y)) / (FLOOR - CEILING);
    move("outlier", outliers.reduce((best, o) => (Math.abs(o - value) < Math.abs(best - value) ? o : best)));
  });
}

export default explorer((stage, { model, move }) => {
  const canvas = svg("svg", { viewBox: `0 0 ${WIDTH} ${FLOOR + 30}` });
  const [picture, grips] = [svg("g"), svg("g")]; // the grip stays while the picture is drawn anew, or a drag would end
  canvas.append(picture, grips);
  stage.append(canvas);
  let grip;
  return ({ state, answer, style }) => {
    const { at, weights, absmax, bits } = answer;
    const x = across(at, weights.length);
    picture.replaceChildren(...numberLines(answer, state.book, style), ...rug(answer.scaled, style),
      ...plane(answer, state.block, style), ...cloud(answer, style), ...key(style),
      words(`absmax ${absmax.toFixed(2)}σ · ${bits.toFixed(2)} bits a weight`, 56, CEILING - 12, { "font-weight": 600 }),
      words("drag me", x + 16, up(state.outlier) + 4, { class: "lb-soft" }));
    if (!grip) { grip = handle(style); draggable(grip, canvas, model.get("specs").outlier.values, move); grips.append(grip); }
    grip.setAttribute("transform", `translate(${x},${up(state.outlier)})`);
    for (const ring of grip.querySelectorAll("[stroke]")) ring.setAttribute("stroke", style.text);
    grip.lastChild.setAttribute("fill", style.text);
  };
});
