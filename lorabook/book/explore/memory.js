// A waterfall: each purpose starts where the one above it ends; the GPU's size is a line through all of them.
import { explorer } from "./explorer.js";
import { count } from "./numbers.js";
import { dotted, fitted, svg } from "./svg.js";

const WORDS = {
  weights: "weights", constants: "quantisation constants", adapters: "adapters", gradients: "gradients",
  optimiser: "optimiser", activations: "activations", logits: "logits", kv: "KV cache", workspace: "one matrix, dequantised",
};
const [LEFT, RIGHT, ROW, TOP] = [170, 92, 24, 30];
const BOTTOM = TOP + 12 + 10 * ROW;
const KEY = 330; // pixels of the line that says what the colours mean

function colours(style, answer, quantised) {
  const [train, still] = [style.role("trainable").colour, style.role("frozen").colour];
  const quant = style.role("quantised").colour;
  return {
    weights: answer.full ? train : answer.quantised ? quantised.fill : still, constants: quant,
    adapters: train, gradients: train, optimiser: train, activations: style.variant("rsLoRA").colour,
    logits: style.variant("QLoRA").colour, kv: style.variant("DoRA").colour, workspace: style.role("residual").colour,
  };
}

function ticks(limit, most) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((s) => limit / s <= most) ?? 10000;
  return Array.from({ length: Math.floor(limit / step) + 1 }, (_, i) => i * step);
}

function gib(value) {
  return value >= 100 ? value.toFixed(0) : value >= 0.095 ? value.toFixed(1) : value >= 0.0005 ? value.toFixed(3) : "0";
}

function words(text, x, y, anchor = "start", soft = false) {
  return svg("text", { x, y, "text-anchor": anchor, "font-size": 12.5, class: soft ? "lb-soft" : "" }, text);
}

function grid(limit, x, across, style) {
  return ticks(limit, across / 70).flatMap((value) => [
    svg("line", { x1: x(value), x2: x(value), y1: TOP, y2: BOTTOM, stroke: style.grid }),
    words(String(value), x(value), BOTTOM + 16, "middle", true),
  ]);
}

function rows(answer, x, end, paints) {
  let from = 0;
  return Object.entries(answer.parts).flatMap(([name, value], i) => {
    const y = TOP + 8 + (i + 1) * ROW;
    const start = from;
    from += value;
    const bar = { x: x(start), y: y + 3, width: Math.max(value > 0 ? 1.5 : 0, x(from) - x(start)), height: ROW - 8, fill: paints[name] };
    const total = { ...bar, y: TOP + 5, height: ROW - 6 };
    return [svg("rect", total), svg("rect", bar), words(WORDS[name], LEFT - 10, y + ROW / 2 + 3, "end", value === 0),
      words(gib(value), end, y + ROW / 2 + 3, "end", value === 0)];
  });
}

// A thin line from where one purpose ends down to where the next one begins.
function steps(answer, x, style) {
  const present = Object.values(answer.parts).map((value, i) => ({ value, i })).filter(({ value }) => value > 0);
  let from = 0;
  return present.slice(0, -1).map(({ value, i }, n) => {
    from += value;
    const [y1, y2] = [i, present[n + 1].i].map((line) => TOP + 8 + (line + 1) * ROW);
    return svg("line", { x1: x(from), x2: x(from), y1: y1 + ROW - 5, y2: y2 + 3, stroke: style.quiet });
  });
}

function key(style, quantised, from, y) {
  const kinds = [[style.role("frozen").colour, "frozen"], [quantised.fill, "frozen, quantised"], [style.role("trainable").colour, "trained"]];
  return kinds.flatMap(([fill, word], i) => {
    const at = from + [0, 90, 232][i];
    return [svg("rect", { x: at, y: y - 10, width: 16, height: 11, fill }), words(word, at + 22, y, "start", true)];
  });
}

function gpuLine(gpu, x, right, style) {
  const colour = style.text;
  const at = x(gpu);
  return [svg("line", { x1: at, x2: at, y1: TOP - 6, y2: BOTTOM, stroke: colour, "stroke-width": 1.5 }),
    svg("text", { x: at, y: TOP - 12, "text-anchor": at > right - 60 ? "end" : "middle", "font-size": 12.5, "font-weight": 600 }, `GPU: ${gpu} GiB`)];
}

// What stands on the GPU's far side of the line is drawn over in the colour of what is wrong.
function excess(device, gpu, x, style) {
  if (device <= gpu) return [];
  return [svg("rect", { x: x(gpu), y: TOP + 5, width: x(device) - x(gpu), height: ROW - 6, fill: "none", "stroke-width": 2,
    stroke: style.role("false").colour, "stroke-dasharray": "5 3" })];
}

function hosted(answer, x, style) {
  if (answer.host === 0) return [];
  const y = TOP + 8 + 5 * ROW;
  return [svg("rect", { x: x(answer.device) + 6, y: y + 3, width: 118, height: ROW - 8, fill: "none", stroke: style.quiet, "stroke-dasharray": "2 3" }),
    svg("text", { x: x(answer.device) + 65, y: y + ROW / 2 + 3, "text-anchor": "middle", "font-size": 11.5, class: "lb-soft" }, `host: ${gib(answer.host)} GiB`)];
}

function draw(canvas, { state, answer, style }, width) {
  const [right, end] = [width - RIGHT, width - 6];
  const limit = 1.06 * Math.max(state.gpu, answer.device, answer.host > 0 ? answer.device * 1.25 : 0);
  const x = (value) => LEFT + ((right - LEFT) * value) / limit;
  const quantised = dotted(style.role("quantised").colour);
  const beside = right - KEY > LEFT + 200; // the key on the line of the count, or on one of its own
  const last = BOTTOM + (beside ? 38 : 60);
  canvas.setAttribute("viewBox", `0 0 ${width} ${last + 6}`);
  canvas.replaceChildren(
    quantised.defs, ...grid(limit, x, right - LEFT, style), ...rows(answer, x, end, colours(style, answer, quantised)),
    ...steps(answer, x, style), words("in all, on the GPU", LEFT - 10, TOP + ROW / 2 + 6, "end"),
    svg("text", { x: end, y: TOP + ROW / 2 + 6, "text-anchor": "end", "font-size": 12.5, "font-weight": 600 }, `${gib(answer.device)} GiB`),
    ...excess(answer.device, state.gpu, x, style), ...gpuLine(state.gpu, x, right, style), ...hosted(answer, x, style),
    words("GiB", right + 14, BOTTOM + 16, "start", true),
    words(`${count(answer.trained)} parameters train`, LEFT, BOTTOM + 38, "start", true),
    ...key(style, quantised, beside ? right - KEY : LEFT, last),
  );
}

export default explorer((stage) => {
  const show = fitted(stage, draw);
  return (picture) => {
    show(picture);
    return { off: picture.answer.off };
  };
});
