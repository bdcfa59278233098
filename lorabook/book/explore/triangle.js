// Two triangles, one for each text: a cell is a share of three adapters, stronger in colour where the loss is lower. Pressed or
// dragged, the point goes there. Dots are the tries of a recorded search, joined where one was better than all before.
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";
import { rule, soft, words } from "./panel.js";
import { fitted, marker, svg } from "./svg.js";

const [EDGE, TOP, GAP, FOOT, NARROW, ONE_LINE, LINE] = [26, 92, 34, 84, 420, 600, 20]; // ONE_LINE: as wide as the key
const SIDE = [250, 356]; // of a triangle, at least and at most
const DEPTH = 0.7; // the share of the losses, from the best up, that has a colour
const HEIGHT = Math.sqrt(3) / 2;
const PARTS = 10;

// Where two triangles lie: beside each other if there is room.
function layout(width) {
  const beside = width >= 2 * (SIDE[0] + 2 * EDGE) + GAP;
  const room = beside ? (width - GAP) / 2 : width;
  const side = Math.min(SIDE[1], room - 2 * EDGE);
  const top = TOP + (width < ONE_LINE ? LINE : 0);
  const high = TOP + side * HEIGHT + FOOT;
  const at = (k) => [(beside ? k * (room + GAP) : 0) + (room - side) / 2, beside ? top : top + k * high];
  return { side, high: top - TOP + (beside ? high : 2 * high), at };
}

// From shares to pixels, and back.
const place = ([x, y], side, [, second, third]) => [x + side * (second + third / 2), y + side * HEIGHT * (1 - third)];

function shares([x, y], side, px, py) {
  const third = 1 - (py - y) / (side * HEIGHT);
  const second = (px - x) / side - third / 2;
  return [1 - second - third, second, third];
}

const hexagon = (cx, cy, r) => `M${[0, 1, 2, 3, 4, 5].map((k) => {
  const angle = (Math.PI / 3) * (k + 0.5);
  return `${(cx + r * Math.cos(angle)).toFixed(1)},${(cy + r * Math.sin(angle)).toFixed(1)}`;
}).join("L")}z`;

function cells(answer, k, origin, side, style) {
  const losses = [...row(answer.losses, k)];
  const low = Math.min(...losses);
  const depth = DEPTH * (Math.max(...losses) - low);
  const fill = style.variant("S-LoRA").colour;
  const strongest = style.dark ? 0.45 : 0.85; // so that numbers can be read on it
  const r = side / PARTS / Math.sqrt(3) - 0.6;
  const spots = losses.map((_, i) => place(origin, side, [...row(answer.points, i)].map((part) => part / PARTS)));
  const opacity = (loss) => strongest * Math.max(0, 1 - (loss - low) / depth);
  const hexagons = spots.map(([cx, cy], i) => svg("path", { d: hexagon(cx, cy, r), fill, "fill-opacity": opacity(losses[i]), stroke: style.grid }));
  const numbers = spots.map(([cx, cy], i) => words(losses[i].toFixed(1), cx, cy + 4, { "text-anchor": "middle", "font-size": 11 }));
  return [hexagons, side < 320 ? [] : numbers];
}

function path(answer, k, origin, side, style) {
  const tries = answer.tries.shape[1];
  const spot = (i) => place(origin, side, [...row(answer.tries, k, i)].slice(0, 3));
  const { colour } = style.role("false");
  const better = answer.improved[k];
  const dot = (i) => {
    const [cx, cy] = spot(i);
    const against = row(answer.tries, k, i)[3] > 0;
    return svg("circle", { cx, cy, r: 3.2, stroke: colour, "stroke-width": 1.4, fill: against ? "none" : colour });
  };
  const line = better.map((i, n) => `${n ? "L" : "M"}${spot(i).map((v) => v.toFixed(1)).join(",")}`).join("");
  return [...Array.from({ length: tries }, (_, i) => dot(i)),
    svg("path", { d: line, fill: "none", stroke: colour, "stroke-width": 2.2 }), marker("star", ...spot(better.at(-1)), 7, colour)];
}

function panel(answer, k, origin, side, style) {
  const [x, y] = origin;
  const at = (i) => place(origin, side, [...row(answer.points, i)].map((part) => part / PARTS));
  const losses = row(answer.losses, k);
  const [bx, by] = at(answer.best[k]);
  const [hx, hy] = at(answer.here);
  const r = side / PARTS / Math.sqrt(3);
  const foot = y + side * HEIGHT;
  const names = [[x, foot + 32, "start", -r], [x + side, foot + 32, "end", r], [x + side / 2, y - 24, "middle", 0]];
  const [hexagons, numbers] = cells(answer, k, origin, side, style);
  return [
    words(`loss on ${answer.texts[k]}`, x - EDGE / 2, y - 46, { "font-weight": 600 }),
    ...hexagons, ...path(answer, k, origin, side, style), ...numbers,
    svg("path", { d: hexagon(bx, by, r - 1.5), fill: "none", stroke: style.text, "stroke-width": 2, "stroke-dasharray": "4 3" }),
    svg("circle", { cx: hx, cy: hy, r: 13, fill: "none", stroke: style.text, "stroke-width": 3 }),
    ...names.map(([nx, ny, anchor, shift], i) => words(answer.adapters[i], nx + shift, ny, { "text-anchor": anchor, "font-weight": 600 })),
    words(`here ${losses[answer.here].toFixed(2)}, least in this triangle ${losses[answer.best[k]].toFixed(2)}`, x - EDGE / 2, foot + 56),
    words(`LoRAHub’s answer ${answer.found[k].toFixed(2)}, the base ${answer.base[k].toFixed(2)}`, x - EDGE / 2, foot + 75),
  ];
}

function key(width, style) {
  const { colour } = style.role("false");
  const [x, y] = width < ONE_LINE ? [6, 12 + LINE] : [350, 12];
  return [svg("circle", { cx: 8, cy: 12, r: 3.2, fill: colour }), soft("a try, at |w|/Σ|w|", 16, 16, "start"),
    svg("circle", { cx: 148, cy: 12, r: 3.2, fill: "none", stroke: colour, "stroke-width": 1.4 }), soft("one with weights of both signs", 157, 16, "start"),
    marker("star", x + 6, y, 6, colour), soft("LoRAHub’s answer", x + 18, y + 4, "start"),
    rule(x + 148, y, x + 166, y, style.text, { "stroke-dasharray": "4 3", "stroke-width": 2 }), soft("least loss", x + 172, y + 4, "start")];
}

// The nearest point of the lattice inside of a triangle.
function nearest(found) {
  const kept = found.map((share) => Math.max(0, share));
  const sum = kept.reduce((a, b) => a + b, 0);
  const first = Math.round((PARTS * kept[0]) / sum);
  return [first, Math.min(PARTS - first, Math.round((PARTS * kept[1]) / sum))];
}

export default explorer((stage, { move }) => {
  let [geometry, last] = [undefined, ""];
  const show = fitted(stage, (canvas, { answer, style }, room) => {
    const width = Math.max(NARROW, room);
    geometry = layout(width);
    canvas.setAttribute("viewBox", `0 0 ${width} ${geometry.high}`);
    const two = [0, 1].flatMap((k) => panel(answer, k, geometry.at(k), geometry.side, style));
    canvas.replaceChildren(...key(width, style), ...two);
  });
  const canvas = stage.querySelector("svg");
  canvas.style.touchAction = "none";
  const follow = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(canvas.getScreenCTM().inverse());
    const found = [0, 1].map((k) => shares(geometry.at(k), geometry.side, point.x, point.y)).find((each) => Math.min(...each) > -0.08);
    if (!found) return;
    const [bible, capitals] = nearest(found);
    if (`${bible} ${capitals}` === last) return;
    last = `${bible} ${capitals}`;
    move("bible", (100 / PARTS) * bible);
    move("capitals", (100 / PARTS) * capitals);
  };
  canvas.addEventListener("pointerdown", (event) => { last = ""; canvas.setPointerCapture(event.pointerId); follow(event); });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) follow(event); });
  return show;
});
