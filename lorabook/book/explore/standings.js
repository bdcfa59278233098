// A contender a line. Left, its loss minus LoRA's on the same seeds, mean and spread: filled where a difference was found.
// Right, what stands beside it, on a scale of logarithms where it goes over more than two decades.
import { explorer } from "./explorer.js";
import { count, show } from "./numbers.js";
import { fitted, svg } from "./svg.js";
import { rule, soft, words } from "./panel.js";

const [TOP, ROW, MARGIN, LETTER, NARROW, APART] = [40, 17, 14, 6.4, 560, 42];
const MIB = 2 ** 20;
const FULL = "full fine-tuning";
const FOUND = new Set(["better", "worse"]);
const UNSAID = new Set(["numbers", "rates"]); // its name says it

function nice(span) {
  const unit = 10 ** Math.floor(Math.log10(span / 4));
  return [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= span / 4);
}

// Round values inside [low, high], and where each lies.
function axis(values, from, to) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (low > 0 && high / low > 100) {
    const at = (v) => from + ((to - from) * Math.log(v / low)) / Math.log(high / low);
    const decades = Array.from({ length: 24 }, (_, i) => 10 ** (i - 9)).filter((v) => v >= low * 0.999 && v <= high * 1.001);
    return { at, ticks: decades.length > 4 ? decades.filter((_, i) => i % 2 === 0) : decades };
  }
  const pad = 0.04 * (high - low) || Math.abs(high) || 1;
  const [a, b] = [low - pad, high + pad];
  const at = (v) => from + ((to - from) * (v - a)) / (b - a);
  const step = nice(b - a);
  const first = Math.ceil(a / step);
  const ticks = Array.from({ length: Math.floor(b / step) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
  return { at, ticks };
}

// As many of the round values as stand beside each other, without the zeros that say nothing: 10 k, not 10.0 k.
function grid({ at, ticks }, write, bottom, style) {
  const every = Math.ceil(APART / Math.abs(at(ticks[1]) - at(ticks[0])) || 1);
  const label = (v) => write(v).replace(/(\.\d*?)0+(?= |$)/, "$1").replace(/\.(?= |$)/, "");
  return ticks.filter((_, i) => i % every === 0)
    .flatMap((v) => [rule(at(v), TOP, at(v), bottom, style.grid), soft(label(v), at(v), bottom + 15, "middle")]);
}

function paint({ answer, state, style }, width) {
  const { lines, unit, cost_unit: costUnit } = answer;
  const look = ({ name }) => (name === FULL ? style.text : style.variant(name).colour);
  const left = 18 + LETTER * Math.max(...lines.map(({ label }) => label.length));
  const middle = left + 0.56 * (width - left);
  const bottom = TOP + ROW * lines.length;
  const gaps = axis(lines.flatMap((line) => [line.difference - line.spread, line.difference + line.spread]), left, middle);
  const [scale, said] = costUnit === "bytes" ? [MIB, "MiB"] : [1, UNSAID.has(costUnit) ? "" : costUnit];
  const known = lines.map(({ cost }) => cost).filter((cost) => cost !== null).map((cost) => cost / scale);
  const costs = axis(known, middle + 34, width - MARGIN - 20);
  const write = costUnit === "numbers" ? count : show;
  const marked = lines.flatMap((line, i) => (line.name === state.row
    ? [svg("rect", { x: 0, y: TOP + ROW * i, width, height: ROW, fill: style.quiet, opacity: 0.18 })] : []));
  const rows = lines.flatMap((line, i) => {
    const y = TOP + ROW * (i + 0.5);
    const dot = { r: 4.5, stroke: look(line), "stroke-width": 1.5 };
    return [
      words(line.label, left - 10, y + 4, { "text-anchor": "end", "font-size": 12, ...(line.name === state.row ? { "font-weight": 700 } : {}) }),
      rule(gaps.at(line.difference - line.spread), y, gaps.at(line.difference + line.spread), y, look(line), { "stroke-width": 2 }),
      svg("circle", { cx: gaps.at(line.difference), cy: y, ...dot, style: `fill: ${FOUND.has(line.says) ? look(line) : "Canvas"}` }),
      ...(line.cost === null ? [soft("–", costs.at(costs.ticks[0]), y + 4, "middle")]
        : [svg("circle", { cx: costs.at(line.cost / scale), cy: y, ...dot, fill: look(line) })])];
  });
  const heads = [words(`against LoRA, ${unit}: left is better`, middle, 16, { "font-weight": 600, "text-anchor": "end" }),
    soft("● a difference was found   ○ none was", middle, 32, "end"),
    words(state.beside, width - 4, 16, { "font-weight": 600, "text-anchor": "end" }),
    soft(said, width - 4, 32, "end")];
  return [...marked, ...grid(gaps, show, bottom, style), ...grid(costs, write, bottom, style),
    rule(gaps.at(0), TOP, gaps.at(0), bottom, style.text, { "stroke-dasharray": "3 3" }), ...rows, ...heads];
}

export default explorer((stage) => fitted(stage, (canvas, now, room) => {
  const width = Math.max(NARROW, room);
  canvas.setAttribute("viewBox", `0 0 ${width} ${TOP + ROW * now.answer.lines.length + 24}`);
  canvas.replaceChildren(...paint(now, width));
}));
