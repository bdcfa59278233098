// Loss curves: finished runs are drawn by plotly, the growing one on top of them, ten times a second.
import { axis, chart, stroke } from "./chart.js";
import { element } from "./controls.js";
import { explorer } from "./explorer.js";
import { bytes, count, percent, show } from "./numbers.js";

const steps = (losses) => losses.map((_, i) => i + 1);

// A line as it looks on this ground.
function dressed(line, style) {
  return { ...line.curve, gain: line.gain, label: line.label, look: { ...line.look, colour: style.dark ? line.look.dark : line.look.light } };
}

function traces({ x, y, losses, look, label }) {
  const thin = { x: steps(losses), y: losses, mode: "lines", line: { color: look.colour, width: 1 }, opacity: 0.25, hoverinfo: "skip" };
  const bold = { x, y, mode: "lines+markers", name: label, line: stroke(look), marker: { symbol: look.marker, size: 6, color: look.colour },
    hovertemplate: `${label}, step %{x}: %{y:.3f}<extra></extra>` };
  return losses.length ? [thin, bold] : [bold];
}

function growing({ x, y, losses, look }) {
  const thin = { kind: "path", x: steps(losses), y: losses, colour: look.colour, width: 1, opacity: 0.25 };
  return [thin, { kind: "path", x, y, colour: look.colour, dash: look.dash }];
}

// From the lowest loss to the highest, but not far above the first: a run that breaks would flatten all others.
function range(lines) {
  const losses = lines.flatMap(({ y }) => y);
  if (!losses.length) return [2, 5];
  const [low, high] = [Math.min(...losses), Math.min(Math.max(...losses), Math.max(...lines.map(({ y }) => y[0] ?? 0)) + 1)];
  return [Math.floor(4 * low - 0.2) / 4, Math.ceil(4 * high + 0.2) / 4];
}

const LETTER = 6.6; // pixels, on average, of a label

function picture(answer, style) {
  const all = answer.lines.map((line) => dressed(line, style)).filter(({ y }) => y.length);
  const [live, still] = [all.filter(({ state }) => state === "running"), all.filter(({ state }) => state !== "running")];
  const y = range(all);
  const layout = {
    margin: { l: 56, r: Math.min(330, 24 + LETTER * Math.max(16, ...all.map(({ label }) => label.length))), t: 14, b: 46 }, height: 340,
    xaxis: axis(style, "step", { range: [0, answer.steps + 1] }),
    yaxis: axis(style, "training loss (nats per token)", { range: y }),
  };
  const items = all.map((line) => ({ text: line.label, colour: line.look.colour, x: line.x.at(-1), y: Math.min(line.y.at(-1), y[1]) }));
  const key = JSON.stringify([y, layout.margin.r, still.map(({ label, look, losses }) => [label, look, losses.length])]);
  return { key, layout, traces: still.flatMap(traces), marks: [...live.flatMap(growing), { kind: "labels", items }] };
}

const known = (value, write) => (value ? write(value) : "");
const share = (part) => (part === null ? "" : percent(part));
const COLUMNS = {
  run: ({ label }) => label,
  size: ({ knobs }) => show(knobs.r),
  "α": ({ knobs }) => show(knobs.alpha),
  "own knob": ({ knobs }) => show(knobs.own),
  rate: ({ knobs }) => show(knobs.lr),
  targets: ({ knobs }) => show(knobs.targets),
  trained: ({ trained }) => known(trained, count),
  "kept for backward": ({ kept }) => known(kept, bytes),
  "time": ({ number, seconds }) => (number === null ? "" : known(seconds, (s) => `${s.toFixed(s < 10 ? 1 : 0)} s`)),
  "loss, unseen text": ({ score, state }) => (score === null ? state : score.toFixed(3)),
  "gain, of full's": ({ gain }) => share(gain.full),
  "of LoRA's": ({ gain }) => share(gain.lora),
};

function table(answer, style) {
  const lines = answer.lines.map((line) => dressed(line, style));
  if (!lines.length) return [];
  const columns = Object.entries(COLUMNS).map(([name, write]) => [name, lines.map(write)])
    .filter(([, cells]) => cells.some((cell) => cell !== "" && cell !== "–"));
  const head = element("tr", {}, ...columns.map(([name]) => element("th", { scope: "col" }, name)));
  const body = lines.map(({ look }, i) => {
    const cells = columns.map(([, column]) => element("td", {}, column[i]));
    cells[0].style.boxShadow = `inset 3px 0 ${look.colour}`;
    return element("tr", {}, ...cells);
  });
  return [element("table", {}, element("thead", {}, head), element("tbody", {}, ...body))];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  const progress = element("progress", { "aria-label": "progress of the run" });
  const [note, plan] = [element("p", { class: "lb-note" }), element("span", { class: "lb-plan" })];
  const list = element("div", { class: "lb-runs" });
  stage.before(element("div", { class: "lb-progress" }, progress, plan));
  tools.notes.append(note, list);
  tools.model.send({ type: "seen" });
  return ({ answer, style }) => {
    draw(picture(answer, style), style);
    [progress.max, progress.value] = [answer.steps, answer.done];
    progress.style.visibility = answer.running ? "visible" : "hidden";
    plan.textContent = `trains ${count(answer.trained)} of ${count(answer.total)} parameters (${percent(answer.trained / answer.total, 1)})`;
    note.textContent = answer.note;
    list.replaceChildren(...table(answer, style));
    return { off: answer.off, idle: answer.idle };
  };
});
