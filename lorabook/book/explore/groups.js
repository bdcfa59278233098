// Above: who sees whom, in each half of the heads. Below: what reaches the chosen token, layer by layer; a click chooses
// another one. Beside them, or underneath where it is narrow: what a step costs over the length of the text.
import { explorer } from "./explorer.js";
import { rule, soft, words } from "./panel.js";
import { fitted, svg } from "./svg.js";

const [TOKENS, GAP, HEAD, ROW, WIDE, CHART] = [32, 34, 24, 15, 780, 330];

// The entries that are not 0, as one path: a few nodes paint faster than a thousand.
function squares(seen, x, y, across, down, fill) {
  let d = "";
  seen.forEach((value, k) => {
    if (value) d += `M${x + (k % TOKENS) * across},${y + Math.floor(k / TOKENS) * down}h${across - 1}v${down - 1}h${1 - across}z`;
  });
  return svg("path", { d, fill });
}

function half(title, seen, x, side, token, fill, style) {
  const [y, cell] = [HEAD, side / TOKENS];
  return [
    words(title, x, y - 9, { "font-weight": 600 }),
    svg("path", { d: `M${x},${y}L${x + side},${y + side}H${x}z`, fill: style.grid, opacity: 0.5 }),
    squares(seen, x, y, cell, cell, fill),
    svg("rect", { x: x - 2, y: y + (token - 1) * cell - 1, width: side + 4, height: cell + 1, fill: "none", stroke: style.text }),
  ];
}

// A row a layer, the output above and the text below, and a line along the border of every group.
function travel({ heard, first }, { token, layers }, top, width, style) {
  const across = width / TOKENS;
  const colour = style.variant("rsLoRA").colour;
  const named = (k) => (k === 0 ? "its output" : k === layers ? "the text" : "");
  const base = top + HEAD + heard.length * ROW;
  return [
    words(`What token ${token} hears of`, 0, top + 12, { "font-weight": 600 }),
    ...heard.flatMap((seen, k) => {
      const y = top + HEAD + k * ROW;
      return [svg("rect", { x: 0, y, width, height: ROW - 1, fill: style.grid, opacity: 0.5 }), squares(seen, 0, y, across, ROW, colour),
        soft(named(k), width + 6, y + 11, "start")];
    }),
    ...[...new Set([1, first, token])].map((t) => words(`${t}`, (t - 0.5) * across, base + 14, { "text-anchor": "middle" })),
  ];
}

// What a click lands on: the rows of a mask (step 0, 1), the columns of the layers (step 1, 0).
function targets(x, y, width, height, [across, down], move) {
  return Array.from({ length: TOKENS }, (_, t) => {
    const target = svg("rect", { x: x + t * across, y: y + t * down, width, height, fill: "transparent", style: "cursor: pointer" });
    target.addEventListener("click", () => move("token", t + 1));
    return target;
  });
}

const looks = (style) => [
  { ...style.role("reference"), dash: "2 4" }, { ...style.variant("rsLoRA"), dash: "8 3 2 3" }, { ...style.role("trainable"), dash: "" },
];

function key(names, group, x, y, paint) {
  const texts = names.map((name, k) => (k === 2 ? `${name} of L/${TOKENS / group}` : name));
  return texts.flatMap((text, k) => [words(text, x + 36, y + 17 * k),
    rule(x, y - 4 + 17 * k, x + 28, y - 4 + 17 * k, paint[k].colour, { "stroke-width": 2, "stroke-dasharray": paint[k].dash })]);
}

function cost({ lengths, names, costs }, { group }, x, top, width, height, style) {
  const [left, right, bottom, upper] = [x + 50, x + width - 20, top + height - 42, top + HEAD + 62];
  const [low, high] = [0.7, 20];
  const across = (tokens) => left + ((right - left) * Math.log2(tokens / lengths[0])) / Math.log2(lengths.at(-1) / lengths[0]);
  const up = (value) => bottom - ((bottom - upper) * Math.log(value / low)) / Math.log(high / low);
  const [paint, middle] = [looks(style), (bottom + upper) / 2];
  const points = (line) => [...line].map((value, i) => `${across(lengths[i])},${up(value)}`).join(" ");
  return [
    words("What a step costs (LLaMA-2-7B)", x, top + 15, { "font-weight": 600 }), ...key(names, group, left, top + 36, paint),
    ...[1, 2, 5, 10, 20].flatMap((v) => [rule(left, up(v), right, up(v), style.grid), soft(`${v}`, left - 6, up(v) + 4, "end")]),
    ...[...lengths].filter((_, k) => k % 2 === 0).flatMap((tokens) => [
      rule(across(tokens), bottom, across(tokens), upper, style.grid), soft(`${tokens / 1024}k`, across(tokens), bottom + 17, "middle")]),
    ...costs.map((line, k) => svg("polyline", { points: points(line), fill: "none", stroke: paint[k].colour, "stroke-width": 2, "stroke-dasharray": paint[k].dash })),
    soft("tokens in a text L (log)", (left + right) / 2, bottom + 36, "middle"),
    words("GFLOP a token and layer (log)", x + 12, middle, { transform: `rotate(-90 ${x + 12} ${middle})`, "text-anchor": "middle", class: "lb-soft" }),
  ];
}

function draw(canvas, { state, answer, style, move }, width) {
  const wide = width > WIDE;
  const left = wide ? width - CHART - GAP : width;
  const side = Math.min(230, (left - GAP - 60) / 2);
  const [second, top] = [side + GAP, HEAD + side + 18];
  const along = 2 * side + GAP;
  const bottom = top + HEAD + answer.heard.length * ROW + 24;
  const fill = style.role("trainable").colour;
  const other = state.shift ? "the other half: shifted by g/2" : "the other half: not shifted";
  canvas.setAttribute("viewBox", `0 0 ${width} ${wide ? Math.max(bottom, CHART + 40) : bottom + CHART + 10}`);
  canvas.replaceChildren(
    ...half("half of the heads", answer.halves[0], 0, side, state.token, fill, style),
    ...half(other, answer.halves[1], second, side, state.token, fill, style),
    ...travel(answer, state, top, along, style),
    ...(wide ? cost(answer, state, width - CHART, 0, CHART, CHART + 40, style) : cost(answer, state, 0, bottom + 10, Math.min(width, 560), CHART, style)),
    ...[0, second].flatMap((x) => targets(x, HEAD, side, side / TOKENS, [0, side / TOKENS], move)),
    ...targets(0, top + HEAD, along / TOKENS, answer.heard.length * ROW, [along / TOKENS, 0], move),
  );
}

export default explorer((stage, { move }) => {
  const show = fitted(stage, draw);
  return (picture) => show({ ...picture, move });
});
