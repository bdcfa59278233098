// Above: the codes on the number line, with the weights of the outlier's block under them. Below: all weights, what they
// come back as, and an outlier to drag. Drawn in the page's own pixels, so that no letter shrinks with the window.
import { explorer } from "./explorer.js";
import { rule, soft, upright, words } from "./panel.js";
import { fitted, marker, svg } from "./svg.js";

const [LEFT, MARGIN] = [56, 16];
const [LINES, GAP, FLOOR, CEILING] = [34, 42, 452, 252]; // first number line, their distance; bottom and top of the plot
const [LOW, HIGH] = [-3.6, 8.6];
const up = (value) => FLOOR - ((FLOOR - CEILING) * (value - LOW)) / (HIGH - LOW);

const signed = (v) => String(v).replace("-", "−");

// Where a picture of this width has the code -1 … 1, and the i-th of n weights.
function places(width) {
  const right = width - MARGIN;
  return { right, onLine: (code) => LEFT + ((right - LEFT) * (code + 1)) / 2, across: (i, n) => LEFT + ((right - LEFT) * (i + 0.5)) / n };
}

function numberLines({ books, codes, used }, chosen, { onLine, right }, style) {
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
    return [words(name, LEFT, y - 14, { "font-weight": on ? 600 : 400, class: on ? "" : "lb-soft" }),
      rule(LEFT, y, right, y, colour, { "stroke-dasharray": dash ?? "", opacity: on ? 1 : 0.5 }), ...dots];
  });
}

function rug(scaled, { onLine }, style) {
  const y = LINES + 3 * GAP;
  const ticks = [...scaled].map((w) => `M${onLine(w).toFixed(1)},${y - 8}v16`).join("");
  const scale = [-1, -0.5, 0, 0.5, 1].map((v) => soft(signed(v), onLine(v), y + 24, "middle"));
  return [words("the block's w / absmax", LEFT, y - 14), svg("path", { d: ticks, stroke: style.text, "stroke-width": 1.5, opacity: 0.7 }), ...scale];
}

function plane({ at, weights }, block, { right }, style) {
  const n = weights.length;
  const first = Math.floor(at / block) * block;
  const wide = (right - LEFT) / n;
  const grid = [-2, 0, 2, 4, 6, 8].flatMap((v) => [rule(LEFT, up(v), right, up(v), style.grid), soft(signed(v), LEFT - 8, up(v) + 4, "end")]);
  const edges = Array.from({ length: n / block - 1 }, (_, i) => LEFT + (i + 1) * block * wide);
  return [svg("rect", { x: LEFT + first * wide, y: CEILING, width: block * wide, height: FLOOR - CEILING, fill: style.variant("QLoRA").colour, opacity: 0.13 }),
    ...grid, ...edges.map((x) => rule(x, CEILING, x, FLOOR, style.quiet, { "stroke-dasharray": "2 4" })),
    upright("value (σ)", (FLOOR + CEILING) / 2), soft(`${n} weights in blocks of ${block}`, (right + LEFT) / 2, FLOOR + 20, "middle")];
}

// One path for all weights, one for all ŵ, one for all errors: three nodes redraw faster than eight hundred.
function cloud({ weights, restored, at }, { across }, style) {
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

function key({ absmax, bits }, style) {
  const [y, colour] = [CEILING - 14, style.variant("QLoRA").colour];
  const items = [[marker("circle", LEFT + 4, y - 4, 2.5, style.text), "weight w", LEFT + 14],
    [svg("rect", { x: LEFT + 100, y: y - 6, width: 8, height: 5, fill: colour }), "comes back as ŵ", LEFT + 114],
    [rule(LEFT + 244, y + 2, LEFT + 244, y - 10, colour, { "stroke-width": 1.5 }), "error", LEFT + 254],
    [svg("circle", { cx: LEFT + 312, cy: y - 4, r: 5, fill: "none", stroke: style.text, "stroke-width": 1.5 }), "drag it", LEFT + 324]];
  return [words(`absmax ${absmax.toFixed(2)}σ · ${bits.toFixed(2)} bits a weight`, LEFT, y - 20, { "font-weight": 600 }),
    ...items.flatMap(([shape, text, x]) => [shape, soft(text, x, y, "start")])];
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
  const [picture, grips] = [svg("g"), svg("g")]; // the grip stays while the picture is drawn anew, or a drag would end
  let grip;
  return fitted(stage, (canvas, { state, answer, style }, width) => {
    const place = places(width);
    const x = place.across(answer.at, answer.weights.length);
    canvas.setAttribute("viewBox", `0 0 ${width} ${FLOOR + 30}`);
    picture.replaceChildren(...numberLines(answer, state.book, place, style), ...rug(answer.scaled, place, style),
      ...plane(answer, state.block, place, style), ...cloud(answer, place, style), ...key(answer, style));
    if (!grip) {
      canvas.append(picture, grips);
      grip = handle(style);
      draggable(grip, canvas, model.get("specs").outlier.values, move);
      grips.append(grip);
    }
    grip.setAttribute("transform", `translate(${x},${up(state.outlier)})`);
    for (const ring of grip.querySelectorAll("[stroke]")) ring.setAttribute("stroke", style.text);
    grip.lastChild.setAttribute("fill", style.text);
  });
});
