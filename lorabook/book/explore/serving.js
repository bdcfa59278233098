// Above: what three ways to serve come to, a row each; a click chooses whose pool is drawn. Then that pool, page by page,
// at one moment, and below it who runs and who waits over time.
import { explorer } from "./explorer.js";
import { percent } from "./numbers.js";
import { levels, rule, soft, words } from "./panel.js";
import { fitted, svg } from "./svg.js";

const [IDLE, CACHE] = [2000, 5000]; // as in serving.py
const [LEFT, ROW, CELL, HIGH, PAGE] = [118, 26, 22, 17, 3];
const SECONDS = 12;
const strong = { "font-weight": 600 };
const right = { "text-anchor": "end" };

function table({ answer, state, style }, width, move) {
  const room = width - LEFT - 190; // for two bars and their numbers
  const [wide, gap] = [room / 2, 78];
  const columns = [[LEFT, "mean wait, s", answer.waits, (v) => v.toFixed(2)],
    [LEFT + wide + gap, "tokens a second", answer.tokens, (v) => v.toFixed(0)]];
  const last = width - 4;
  const heads = columns.map(([x, text]) => words(text, x, 14, { class: "lb-soft" }));
  const bars = columns.flatMap(([x, , values, show]) => values.flatMap((value, i) => {
    const length = (wide * value) / Math.max(...values, 1e-9);
    const colour = style.role(answer.names[i] === state.way ? "trainable" : "frozen").colour;
    return [svg("rect", { x, y: 22 + ROW * i, width: Math.max(1, length), height: 16, fill: colour }), words(show(value), x + length + 6, 35 + ROW * i)];
  }));
  const names = answer.names.flatMap((name, i) => {
    const hit = svg("rect", { x: 0, y: 18 + ROW * i, width, height: ROW - 2, fill: "transparent", style: "cursor: pointer" });
    hit.addEventListener("click", () => move("way", name));
    return [words(name, 0, 35 + ROW * i, name === state.way ? strong : {}), words(answer.rows[i].toFixed(1), last, 35 + ROW * i, right), hit];
  });
  return [soft("click a row", 0, 14, "start"), ...heads, soft("in a step", last, 14, "end"), ...bars, ...names];
}

const kind = (code) => (code === 0 ? "free" : code >= CACHE ? "cache" : code > IDLE ? "idle" : "used");

function looks(style) {
  const orange = style.role("trainable").colour;
  return {
    used: { fill: orange }, idle: { fill: orange, "fill-opacity": 0.28 }, cache: { fill: style.role("quantised").colour, "fill-opacity": 0.75 },
    free: { fill: "none", stroke: style.grid },
  };
}

// Runs of adjoining pages that one owner has, cut where a line of the picture ends.
function runs(owners, columns) {
  const found = [];
  owners.forEach((code, i) => {
    const open = found.at(-1);
    if (open && open.code === code && i % columns) open.length += 1;
    else found.push({ code, start: i, length: 1 });
  });
  return found;
}

function grid({ answer, style }, top, width) {
  const columns = Math.floor(width / CELL);
  const look = looks(style);
  const all = runs([...answer.owners], columns);
  const place = ({ start }) => [(start % columns) * CELL, top + Math.floor(start / columns) * (HIGH + PAGE)];
  const paths = Object.entries(look).map(([name, paint]) => svg("path", { ...paint, d: all.filter(({ code }) => kind(code) === name).flatMap((run) => {
    const [x, y] = place(run);
    // One block for all pages of an owner; what is free is drawn page by page.
    if (name !== "free") return [`M${x + 1},${y}h${run.length * CELL - 2}v${HIGH}h${2 - run.length * CELL}z`];
    return Array.from({ length: run.length }, (_, k) => `M${x + k * CELL + 1.5},${y + 0.5}h${CELL - 3}v${HIGH - 1}h${3 - CELL}z`);
  }).join("") }));
  const labels = all.filter(({ code }) => code > 0 && code < CACHE).flatMap((run) => {
    const [[x, y], text, used] = [place(run), String(run.code % IDLE), kind(run.code) === "used"];
    if (run.length * CELL < 7 * text.length + 5) return [];
    return words(text, x + 4, y + 13, { "font-size": 11.5, ...(used ? { style: "fill: #1f2937", ...strong } : {}) });
  });
  return { nodes: [...paths, ...labels], bottom: top + Math.ceil(answer.owners.length / columns) * (HIGH + PAGE) };
}

function key(top, width, style) {
  const names = { used: "an adapter (or model) in use", idle: "kept, nobody uses it now", cache: "cache of a request", free: "free" };
  const place = width > 640 ? [0, 208, 398, 548] : [0, 208, 0, 208];
  return Object.entries(names).flatMap(([name, text], i) => {
    const y = top + (width > 640 || i < 2 ? 0 : 18);
    return [svg("rect", { x: place[i] + 0.5, y: y - 10, width: 15, height: 11, ...looks(style)[name] }), words(text, place[i] + 21, y, { class: "lb-soft" })];
  });
}

function steps(values, x, y, look) {
  const d = [...values].map((v, i) => `${i ? "H" : "M"}${x(i).toFixed(1)}${i ? `V${y(v).toFixed(1)}` : `,${y(v).toFixed(1)}`}`).join("");
  return svg("path", { d, fill: "none", "stroke-width": 2, ...look });
}

function curves({ answer, state, style }, top, width) {
  const [left, end, high] = [34, width - 84, 96];
  const most = Math.max(...answer.running, ...answer.waiting, 4);
  const x = (i) => left + ((end - left) * i) / answer.running.length;
  const y = (v) => top + high - (high * v) / most;
  const step = [1, 2, 5, 10, 20, 50, 100, 200].find((s) => most / s <= 4) ?? 500;
  const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, k) => k * step);
  const now = x((state.t / SECONDS) * answer.running.length);
  const [run, wait] = [answer.running.at(-1), answer.waiting.at(-1)];
  const apart = Math.abs(y(run) - y(wait)) < 16;
  const [orange, blue] = [style.role("trainable").colour, style.variant("rsLoRA").colour];
  const name = (text, value, colour, dy) => [rule(end + 4, y(value) + dy, end + 12, y(value) + dy, colour, { "stroke-width": 3 }), words(text, end + 16, y(value) + 4 + dy)];
  return [...levels(ticks, y, left, end, style),
    rule(now, top - 4, now, top + high, style.text, { "stroke-dasharray": "3 3" }),
    steps(answer.waiting, x, y, { stroke: blue, "stroke-dasharray": "8 4 2 4" }), steps(answer.running, x, y, { stroke: orange }),
    ...name("running", run, orange, apart && run <= wait ? 8 : apart ? -8 : 0), ...name("waiting", wait, blue, apart && run <= wait ? -8 : apart ? 8 : 0),
    ...[0, 3, 6, 9, 12].map((s) => soft(`${s}`, x((s / SECONDS) * answer.running.length), top + high + 17, "middle")),
    soft("seconds", end, top + high + 33, "end")];
}

function draw(canvas, picture, width, move) {
  const { answer, state } = picture;
  const i = answer.names.indexOf(state.way);
  const head = 22 + 3 * ROW + 20;
  const said = `${state.way}, after ${state.t} s: ${answer.owners.length} pages, ${answer.free} free, of which at most ${answer.gap} adjoin`;
  const { nodes, bottom } = grid(picture, head + 12, width);
  const foot = bottom + (width > 640 ? 18 : 36);
  const plot = foot + 46;
  canvas.setAttribute("viewBox", `0 0 ${width} ${plot + 134}`);
  canvas.replaceChildren(...table(picture, width, move), words(said, 0, head, strong), ...nodes, ...key(bottom + 14, width, picture.style),
    words(`Requests; ${percent(answer.loading[i])} of the time goes into copying or merging`, 0, foot + 24, strong), ...curves(picture, plot, width));
}

export default explorer((stage, { move }) => fitted(stage, (canvas, picture, width) => draw(canvas, picture, width, move)));
