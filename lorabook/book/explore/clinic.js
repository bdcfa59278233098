// Left the losses of the patient and of the reader's run: thin that of each step's batch, thick that on new text.
// Right the drift of both. Below what both are, and what they came to.
import { axis, chart, stroke } from "./chart.js";
import { element } from "./controls.js";
import { explorer } from "./explorer.js";

function line(name, x, y, panel, look, more) {
  return { name, x: [...x], y: [...y], mode: "lines", line: stroke(look), xaxis: `x${panel}`, yaxis: `y${panel}`,
    hovertemplate: `${name}, step %{x}: %{y:.2f}<extra></extra>`, ...more };
}

function thin(x, y, look) {
  return line("", x, y, "", look, { line: { color: look.colour, width: 1 }, opacity: 0.45, hoverinfo: "skip", hovertemplate: undefined });
}

const highest = (...arrays) => Math.max(...arrays.flatMap((array) => [...array]).filter(Number.isFinite));

function curves(answer, looks, style) {
  const { steps, stops, limits } = answer;
  const last = steps.at(-1);
  const most = Math.max(0.5, 1.06 * highest(answer.drift, answer.drift_before));
  const base = { x: [0, last], y: [answer.new[0], answer.new[0]], mode: "lines", line: stroke(style.role("reference"), { width: 1 }), hoverinfo: "skip" };
  return {
    traces: [
      base, thin(steps, answer.seen_before, looks.patient), thin(steps, answer.seen, looks.yours),
      line("patient", answer.looks, answer.new_before, "", looks.patient), line("yours", answer.looks, answer.new, "", looks.yours),
      line("patient", stops, answer.drift_before, "2", looks.patient), line("yours", stops, answer.drift, "2", looks.yours),
    ],
    layout: {
      margin: { l: 56, r: 60, t: 26, b: 46 }, height: 330,
      xaxis: axis(style, "step", { range: [0, last], domain: [0, 0.54] }),
      yaxis: axis(style, "loss, nats", { range: [...limits] }),
      xaxis2: axis(style, "step", { range: [0, last], domain: [0.7, 1], anchor: "y2" }),
      yaxis2: axis(style, "drift on Austen, nats", { range: [0, most], anchor: "x2" }),
    },
  };
}

// The last value of a curve that is a number; one that has left the picture is named at its edge.
function end(x, y, [low, high]) {
  const i = [...y].findLastIndex(Number.isFinite);
  return { x: x[i], y: Math.max(low, Math.min(high, y[i])), out: y[i] > high };
}

function names(x, before, now, limits, looks, panel) {
  const items = [["patient", before], ["yours", now]].map(([text, y]) => {
    const at = end(x, y, limits);
    return { x: at.x, y: at.y, text: at.out ? `${text} ↑` : text, colour: looks[text].colour };
  });
  return { kind: "labels", items, panel };
}

function marks({ stop }, answer, looks, style) {
  const { steps, stops, limits, now } = answer;
  const [k, drifts] = [stops.indexOf(stop), [0, Infinity]];
  const dot = (x, y, panel) => (Number.isFinite(y) && y <= (panel ? Infinity : limits[1]) ? [{ kind: "dot", x, y, panel, colour: looks.yours.colour, size: 6 }] : []);
  const broken = [...answer.seen].findIndex((loss, i) => !Number.isFinite(loss) && [...answer.seen].slice(i).every(Number.isNaN));
  const nan = broken < 0 ? [] : [{ kind: "text", text: "your loss is NaN from here on", x: broken + 1, y: answer.new[0], dx: 8, dy: 18, colour: style.text, anchor: "start" }];
  return [
    { kind: "rule", x: stop, colour: style.quiet }, { kind: "rule", x: stop, panel: "2", colour: style.quiet },
    names(answer.looks, answer.new_before, answer.new, limits, looks, ""), names(stops, answer.drift_before, answer.drift, drifts, looks, "2"),
    ...dot(stop, now[0], ""), ...dot(stop, answer.drift[k], "2"), ...nan,
    { kind: "text", text: "thin: each step's batch  ·  thick: the task  ·  dotted: the base", x: 0, colour: style.quiet, anchor: "start" },
    { kind: "text", text: "the base: 0", x: steps.at(-1), y: 0, panel: "2", dy: -6, dx: -4, colour: style.quiet, anchor: "end" },
  ];
}

const nats = (value) => (Number.isFinite(value) ? value.toFixed(2).replace("-", "−") : "NaN");

function table({ trained_before, trained, before, now, rule, cured }, looks) {
  const heads = ["", "how it is trained", "loss", "learned", "rise", "drift"];
  const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)));
  const body = [["patient", trained_before, before], ["yours", trained, now]].map(([name, how, numbers]) => {
    const cells = [name, how, ...[...numbers].map(nats)].map((text) => element("td", {}, text));
    cells[0].style.boxShadow = `inset 3px 0 ${looks[name].colour}`;
    cells[1].style.textAlign = "left";
    return element("tr", {}, ...cells);
  });
  return [element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
    element("p", { class: "lb-note" }, `Cured is: ${rule}. ${cured ? "It is." : "It is not."}`)];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer, style }) => {
    const looks = { patient: style.role("false"), yours: style.variant("LoRA") };
    const key = `${state.patient} ${state.factor} ${state.change}`;
    draw({ key, ...curves(answer, looks, style), marks: marks(state, answer, looks, style) }, style);
    tools.notes.replaceChildren(...table(answer, looks));
  };
});
