// Charts by plotly.js, which the page gets once: from the book's own server, or else from the kernel.
import { overlay } from "./marks.js";

const WAIT = 20000;
const LATE = "The chart comes as soon as the kernel is free. If the kernel has stopped, run this cell again.";

function ask(model) {
  return new Promise((resolve) => {
    // A busy kernel answers late and a stopped one never: this chart keeps listening, and the next one may ask again.
    const stop = setTimeout(() => { globalThis.lorabookPlotly = undefined; }, WAIT);
    function receive(message, buffers) {
      if (message?.type !== "plotly") return;
      clearTimeout(stop);
      model.off("msg:custom", receive);
      if (!globalThis.Plotly) run({ textContent: new TextDecoder().decode(buffers[0]) });
      resolve(globalThis.Plotly);
    }
    model.on("msg:custom", receive);
    model.send({ type: "need-plotly" });
  });
}

function run(attributes) {
  const amd = globalThis.define; // with an AMD loader on the page plotly would register there and not on globalThis
  globalThis.define = undefined;
  const script = Object.assign(document.createElement("script"), attributes);
  return new Promise((resolve) => {
    script.onload = script.onerror = resolve;
    document.head.append(script);
    if (!script.src) resolve();
  }).finally(() => { globalThis.define = amd; });
}

// `lorabook lab` serves the file; another server has no such page, and another kind of notebook no such address.
async function fetched(model) {
  const page = document.getElementById("jupyter-config-data");
  if (page) await run({ src: `${JSON.parse(page.textContent).baseUrl}static/plotly.min.js` });
  return globalThis.Plotly ?? ask(model);
}

function load(model) {
  if (globalThis.Plotly) return Promise.resolve(globalThis.Plotly);
  globalThis.lorabookPlotly ??= fetched(model);
  return globalThis.lorabookPlotly;
}

// One axis: `title` carries the unit; a log axis labels its decades only.
export function axis(style, title, more = {}) {
  return {
    title: { text: title, font: { size: 12, color: style.quiet }, standoff: 8 },
    gridcolor: style.grid, linecolor: style.quiet, zeroline: false, showline: true, ticks: "outside", ticklen: 4,
    tickcolor: style.quiet, tickfont: { size: 11, color: style.quiet }, fixedrange: true,
    ...more,
  };
}

export function stroke(thing, more = {}) {
  return { color: thing.colour, dash: thing.dash, width: 2, ...more };
}

function grounded(style, own) {
  return {
    margin: { l: 58, r: 14, t: 12, b: 46 }, height: 300, autosize: true, showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: style.font, size: 12, color: style.text },
    hoverlabel: { font: { family: style.font, size: 12 } },
    ...own,
  };
}

// Returns draw({key, traces, layout, marks}, style). The curves are drawn again only when `key` (or the theme) changes;
// `marks` move every time. Until plotly is here only the latest picture waits; JupyterLab is told with `lorabook-chart`,
// for the book's extension shows the picture that Python drew in its place.
export function chart(stage, { model }) {
  const holder = document.createElement("div");
  const curves = document.createElement("div");
  holder.className = "lb-chart";
  holder.append(curves);
  stage.append(holder);
  const mark = overlay(holder);
  let picture, plotly, drawn, width;

  function show() {
    if (!plotly || !picture) return;
    const { key, traces, layout, marks = [] } = picture;
    // Plotly follows the window's width alone, and a chart's own may change before, after or without it.
    const resized = curves.clientWidth !== width && curves.clientWidth > 0;
    if (key !== drawn) plotly.react(curves, traces, layout, { displayModeBar: false, responsive: true });
    else if (resized) plotly.Plots.resize(curves);
    [drawn, width] = [key, curves.clientWidth];
    mark(marks, layout);
  }
  const tell = (drawn) => holder.dispatchEvent(new CustomEvent("lorabook-chart", { bubbles: true, detail: drawn }));
  const late = setTimeout(() => { curves.textContent = LATE; tell(false); }, WAIT / 4);
  load(model).then((loaded) => { clearTimeout(late); curves.replaceChildren(); plotly = loaded; tell(true); show(); });
  new ResizeObserver(() => show()).observe(holder);
  return ({ key, traces, layout, marks }, style) => {
    picture = { key: `${key} ${style.dark}`, traces, layout: grounded(style, layout), marks };
    show();
  };
}
