// A contender a line: every seed a tick, the mean a dot; below, what it costs.
import { element } from "./controls.js";
import { explorer } from "./explorer.js";
import { bytes, count, show } from "./numbers.js";
import { fitted, svg } from "./svg.js";

const [WIDEST, MARGIN, TOP, ROW, LETTER] = [760, 16, 12, 28, 6.8];
const FULL = "full fine-tuning";

const COLUMNS = {
  contender: (line) => line.label,
  loss: (line) => `${line.mean.toFixed(3)} ± ${line.spread.toFixed(3)}`,
  seeds: (line) => String(line.scores.length),
  "tuned rate": (line) => show(line.lr),
  trained: (line) => count(line.trained),
  "kept for backward": (line) => bytes(line.backward_bytes),
  "optimiser": (line) => bytes(line.optimizer_bytes),
  "step, LoRA = 1": (line) => line.step_ratio.toFixed(2),
  "forgotten, nats": (line) => line.forgotten.toFixed(2),
};

function table(lines, look) {
  const head = element("tr", {}, ...Object.keys(COLUMNS).map((name) => element("th", { scope: "col" }, name)));
  const body = lines.map((line) => {
    const cells = Object.values(COLUMNS).map((write) => element("td", {}, write(line)));
    cells[0].style.boxShadow = `inset 3px 0 ${look(line)}`;
    return element("tr", {}, ...cells);
  });
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

// Four round numbers inside what is shown.
function ticks(low, high) {
  const raw = (high - low) / 4;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
}

function words(text, x, y, anchor, soft = false) {
  return svg("text", { x, y, "text-anchor": anchor, "font-size": 12.5, class: soft ? "lb-soft" : "" }, text);
}

function picture({ lines, unit }, look, style, right) {
  const scores = lines.flatMap((line) => line.scores);
  const left = 24 + LETTER * Math.max(...lines.map(({ label }) => label.length));
  const pad = 0.06 * (Math.max(...scores) - Math.min(...scores)) || 0.01;
  const [low, high] = [Math.min(...scores) - pad, Math.max(...scores) + pad];
  const x = (value) => left + ((right - left) * (value - low)) / (high - low);
  const bottom = TOP + ROW * lines.length;
  const grid = ticks(low, high).flatMap((value) => [
    svg("line", { x1: x(value), x2: x(value), y1: TOP, y2: bottom, stroke: style.grid }),
    words(show(value), x(value), bottom + 16, "middle", true),
  ]);
  const rows = lines.flatMap((line, i) => {
    const y = TOP + ROW * (i + 0.5);
    return [words(line.label, left - 12, y + 4, "end"),
      ...line.scores.map((score) => svg("line", { x1: x(score), x2: x(score), y1: y - 7, y2: y + 7, stroke: look(line) })),
      svg("circle", { cx: x(line.mean), cy: y, r: 5, fill: look(line) })];
  });
  return [...grid, ...rows, words(`${unit}, lower is better; a tick a seed`, (left + right) / 2, bottom + 34, "middle", true)];
}

function colours(style) {
  return (line) => (line.name === FULL ? style.role("reference").colour : style.variant(line.name).colour);
}

export default explorer((stage, tools) => {
  const draw = fitted(stage, (canvas, { answer, style }, room) => {
    const width = Math.min(WIDEST, room);
    canvas.setAttribute("viewBox", `0 0 ${width} ${TOP + ROW * answer.lines.length + 42}`);
    canvas.style.maxWidth = `${width}px`;
    canvas.replaceChildren(...picture(answer, colours(style), style, width - MARGIN));
  });
  return (now) => {
    draw(now);
    tools.notes.replaceChildren(element("div", { class: "lb-runs" }, table(now.answer.lines, colours(now.style))));
  };
});
