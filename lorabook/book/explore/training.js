// Loss curves: finished runs are drawn by plotly, the growing one on top of them, ten times a second.
import { axis, chart, stroke } from "./chart.js";
import { element } from "./controls.js";
import { explorer } from "./explorer.js";
import { bytes, count, percent, show } from "./numbers.js";

const FULL = "full fine-tuning";

const isFull = (line) => line.knobs.variant === FULL;

function look(line, style) {
  return isFull(line) ? { ...style.role("reference"), marker: "circle" } : style.variant(line.knobs.variant);
}

// The mean of the last five losses: single batches are too noisy to compare two runs by eye.
function smooth(losses) {
  return losses.map((_, i) => {
    const window = losses.slice(Math.max(0, i - 4), i + 1);
    return window.reduce((sum, loss) => sum + loss, 0) / window.length;
  });
}

const named = ({ number, label, recorded }) => `${recorded ? "" : `${number}: `}${label}`;

const steps = (losses) => losses.map((_, i) => i + 1);

function curves(line, style) {
  const { number, run, label } = line;
  const thing = look(line, style);
  const thin = { x: steps(run.losses), y: run.losses, mode: "lines", line: { color: thing.colour, width: 1 }, opacity: 0.3, hoverinfo: "skip" };
  const bold = { x: thin.x, y: smooth(run.losses), mode: "lines", name: label, line: stroke(thing),
    hovertemplate: `${number}: ${label}, step %{x}: %{y:.3f}<extra></extra>` };
  return [thin, bold];
}

function range(runs) {
  const losses = runs.flatMap((run) => smooth(run.losses));
  if (!losses.length) return [2, 5];
  const [low, high] = [Math.min(...losses), Math.min(Math.max(...losses), losses[0] + 1.5)];
  return [Math.floor(2 * low - 0.2) / 2, Math.ceil(2 * high + 0.2) / 2];
}

// Everything to draw: the runs, and the reference where it is not one of them.
function gather(answer) {
  const { gaps, recorded, reference } = answer;
  const lines = answer.lines.map((line, i) => ({ ...line, gap: gaps[i], recorded }));
  const apart = reference && !lines.some((line) => line.number === reference.number && isFull(line));
  return apart ? [{ ...reference, gap: null, recorded: true }, ...lines] : lines;
}

function picture(answer, style) {
  const all = gather(answer);
  const growing = answer.running ? all.at(-1) : undefined;
  const still = all.filter((line) => line !== growing && line.run.losses.length);
  const y = range(all.map(({ run }) => run));
  const layout = {
    margin: { l: 56, r: 150, t: 14, b: 46 }, height: 320,
    xaxis: axis(style, "step", { range: [0, answer.steps + 1] }),
    yaxis: axis(style, "training loss (nats per token)", { range: y }),
  };
  const marks = growing?.run.losses.length ? [
    { kind: "path", x: steps(growing.run.losses), y: growing.run.losses, colour: look(growing, style).colour, width: 1, opacity: 0.3 },
    { kind: "path", x: steps(growing.run.losses), y: smooth(growing.run.losses), colour: look(growing, style).colour },
  ] : [];
  const items = all.filter(({ run }) => run.losses.length).map((line) => ({
    text: named(line), colour: look(line, style).colour, x: line.run.losses.length, y: Math.min(smooth(line.run.losses).at(-1), y[1]),
  }));
  const key = JSON.stringify([y, still.map(({ number, knobs, run, recorded }) => [number, knobs.variant, recorded, run.losses.length])]);
  return { key, layout, traces: still.flatMap((line) => curves(line, style)), marks: [...marks, { kind: "labels", items }] };
}

const COLUMNS = {
  run: named,
  "α": (line) => (isFull(line) ? "" : show(line.knobs.alpha)),
  "rate": ({ knobs }) => show(knobs.lr),
  targets: (line) => (isFull(line) ? "everything" : line.knobs.targets),
  trained: ({ run }) => count(run.trained),
  "kept for backward": ({ run }) => (run.backward_bytes ? bytes(run.backward_bytes) : ""),
  "ms a step": ({ run, recorded }) => (run.seconds && !recorded ? ((1000 * run.seconds) / run.losses.length).toFixed(0) : ""),
  "loss, unseen text": ({ run }) => (run.final === null ? run.state : run.final.toFixed(3)),
  "of full fine-tuning": ({ gap }) => (gap === null ? "" : percent(gap)),
};

function table(answer, style) {
  const lines = gather(answer);
  if (!lines.length) return [];
  const head = element("tr", {}, ...Object.keys(COLUMNS).map((name) => element("th", { scope: "col" }, name)));
  const body = lines.map((line) => {
    const cells = Object.values(COLUMNS).map((write) => element("td", {}, write(line)));
    cells[0].style.boxShadow = `inset 3px 0 ${look(line, style).colour}`;
    return element("tr", {}, ...cells);
  });
  return [element("table", {}, element("thead", {}, head), element("tbody", {}, ...body))];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  const progress = element("progress", { "aria-label": "progress of the run" });
  const [note, plan] = [element("p", { class: "lb-note" }), element("span", { class: "lb-plan" })];
  const list = element("div");
  stage.before(element("div", { class: "lb-progress" }, progress, plan));
  tools.notes.append(note, list);
  return ({ answer, style }) => {
    draw(picture(answer, style), style);
    const done = answer.running ? answer.lines.at(-1)?.run.losses.length ?? 0 : 0;
    [progress.max, progress.value] = [answer.steps, done];
    progress.style.visibility = answer.running ? "visible" : "hidden";
    plan.textContent = `trains ${count(answer.trained)} of ${count(answer.total)} parameters (${percent(answer.trained / answer.total, 1)})`;
    note.textContent = answer.note;
    list.replaceChildren(...table(answer, style));
    return { off: answer.off, idle: answer.running ? ["start", "clear"] : answer.lines.length ? ["stop"] : ["stop", "clear"] };
  };
});
