// Left the losses of the patient, dashed, and of the reader's run: thin that of each batch, thick that of the task. Right
// the drift of both. Below how both are trained, and what they came to.
import { axis, chart, stroke } from "./chart.js";
import { element } from "./controls.js";
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";

const LAST = 32;

function line(name, curve, panel, look, more) {
  return { name, x: [...row(curve, 0)], y: [...row(curve, 1)], mode: "lines", line: stroke(look), xaxis: `x${panel}`, yaxis: `y${panel}`,
    hovertemplate: `${name}, step %{x}: %{y:.2f}<extra></extra>`, ...more };
}

function thin(curve, look) {
  return line("", curve, "", look, { line: { color: look.colour, width: 1 }, opacity: 0.45, hoverinfo: "skip", hovertemplate: undefined });
}

const start = ({ new: curve }) => row(curve, 1)[0];

function curves(answer, looks, style) {
  const most = Math.max(0.5, ...row(answer.drift, 1), ...row(answer.drift_before, 1));
  const base = { x: [0, LAST], y: [start(answer), start(answer)], mode: "lines", line: stroke(style.role("reference"), { width: 1 }), hoverinfo: "skip" };
  return {
    traces: [
      base, thin(answer.seen_before, looks.patient), thin(answer.seen, looks.yours),
      line("yours", answer.new, "", looks.yours), line("patient", answer.new_before, "", looks.patient),
      line("yours", answer.drift, "2", looks.yours), line("patient", answer.drift_before, "2", looks.patient),
    ],
    layout: {
      margin: { l: 34, r: 64, t: 26, b: 46 }, height: 330,
      xaxis: axis(style, "step", { range: [0, LAST], domain: [0, 0.52] }),
      yaxis: axis(style, "", { range: [...answer.limits] }),
      xaxis2: axis(style, "step", { range: [0, LAST], domain: [0.7, 1], anchor: "y2" }),
      yaxis2: axis(style, "", { range: [0, 1.08 * most], anchor: "x2" }),
    },
  };
}

// Names at the last values; what has left the picture is named at its edge.
function names(curves, looks, panel, [low, high]) {
  const items = Object.entries(curves).map(([name, curve]) => {
    const [x, y] = [0, 1].map((i) => row(curve, i).at(-1));
    return { x, y: Math.min(high, Math.max(low, y)), text: y > high ? `${name} ↑` : name, colour: looks[name].colour };
  });
  return { kind: "labels", items, panel };
}

// Where the reader stops, a dot on each of his curves.
function stopped({ stop }, { now, limits }, look) {
  const [loss, , , drift] = now;
  const dot = (y, panel) => ({ kind: "dot", x: stop, y, panel, colour: look.colour, size: 6 });
  return now.length ? [...(loss <= limits[1] ? [dot(loss, "")] : []), dot(drift, "2")] : [];
}

function marks(state, answer, looks, style) {
  const { limits, seen } = answer;
  const broke = row(seen, 0).at(-1);
  const nan = answer.now.length ? [] : [{ kind: "text", text: "yours: NaN from here on", x: broke, y: limits[0], dx: 6, dy: -8, colour: style.text, anchor: "start" }];
  return [
    { kind: "rule", x: state.stop, colour: style.quiet }, { kind: "rule", x: state.stop, panel: "2", colour: style.quiet },
    names({ patient: answer.new_before, yours: answer.new }, looks, "", limits),
    names({ patient: answer.drift_before, yours: answer.drift }, looks, "2", [0, Infinity]),
    ...stopped(state, answer, looks.yours), ...nan,
    { kind: "text", text: "loss, nats", x: 0, colour: style.text, anchor: "start" },
    { kind: "text", text: "drift on Austen, nats", x: 0, panel: "2", colour: style.text, anchor: "start" },
  ];
}

const nats = (value) => value.toFixed(2).replace("-", "−");

function table({ trained_before, trained, before, now, rule, cured }, looks) {
  const head = ["", "how it is trained", "loss", "learned", "rise", "drift"].map((name) => element("th", { scope: "col" }, name));
  head[1].style.textAlign = "left";
  const body = [["patient", trained_before, before], ["yours", trained, now]].map(([name, how, numbers]) => {
    const shown = numbers.length ? [...numbers].map(nats) : Array(4).fill("NaN");
    const cells = [name, how, ...shown].map((text) => element("td", {}, text));
    cells[0].style.boxShadow = `inset 3px 0 ${looks[name].colour}`;
    cells[1].style.textAlign = "left";
    return element("tr", {}, ...cells);
  });
  return [element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body)),
    element("p", { class: "lb-note" }, `Cured is: ${rule}. ${cured ? "It is." : "It is not."}`),
    element("p", { class: "lb-note" }, "Thin: each batch's own loss. Thick: the loss on new verses, or on all facts. Dotted: the base.")];
}

export default explorer((stage, tools) => {
  const draw = chart(stage, tools);
  return ({ state, answer, style }) => {
    const looks = { patient: { colour: style.quiet, dash: "dash" }, yours: style.variant("LoRA") };
    const key = `${state.patient} ${state.factor} ${state.change}`;
    draw({ key, ...curves(answer, looks, style), marks: marks(state, answer, looks, style) }, style);
    tools.notes.replaceChildren(...table(answer, looks));
  };
});
