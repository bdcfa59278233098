// A waterfall of what one layer keeps: each tensor starts where the one above it ends; what is freed is a hollow box
// that adds nothing, what is made again a hatched one. Behind it, how much is kept if the seven matrices train.
import { explorer } from "./explorer.js";
import { fitted, svg } from "./svg.js";

const [LEFT, RIGHT, ROW, TOP] = [172, 148, 22, 34];

const whole = (kib) => (kib === 0 ? "·" : Math.round(kib).toLocaleString("en"));

function words(text, x, y, anchor = "start", more = {}) {
  return svg("text", { x, y, "text-anchor": anchor, "font-size": 12, ...more }, text);
}

const soft = { class: "lb-soft" };
const strong = { "font-weight": 600 };

// Slanted lines of a colour: what is not kept, and made once more.
function hatched(colour) {
  const id = `lb-hatch-${Math.random().toString(36).slice(2)}`;
  const line = svg("line", { x1: 0, y1: 0, x2: 0, y2: 6, stroke: colour, "stroke-width": 3 });
  const pattern = svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, line);
  return { defs: svg("defs", {}, pattern), fill: `url(#${id})` };
}

function look(fate, colour, hatch) {
  if (fate === "kept") return { fill: colour };
  if (fate === "made again") return { fill: hatch, stroke: colour };
  return { fill: "none", stroke: colour, "stroke-dasharray": "3 3" };
}

function grid(limit, most, x, bottom, style) {
  const step = [50, 100, 200, 500, 1000, 2000].find((s) => limit / s <= most) ?? 5000;
  return Array.from({ length: Math.floor(limit / step) + 1 }, (_, i) => i * step).flatMap((value) => [
    svg("line", { x1: x(value), x2: x(value), y1: TOP - 8, y2: bottom, stroke: style.grid }),
    words(value.toLocaleString("en"), x(value), bottom + 16, "middle", soft),
  ]);
}

function rows({ names, sizes, fates, kept, always }, x, columns, paints) {
  let from = 0;
  return names.flatMap((name, i) => {
    const y = TOP + i * ROW + (i >= always ? 8 : 0);
    const { colour, hatch } = paints[i < always ? 0 : 1];
    const [start, freed] = [from, fates[i] === "freed"];
    if (!freed) from += sizes[i];
    const box = { x: x(start), y: y + 3, width: Math.max(0, x(start + sizes[i]) - x(start)), height: ROW - 7 };
    const dim = freed ? soft : {};
    return [
      svg("rect", { ...box, ...look(fates[i], colour, hatch) }), words(name, LEFT - 10, y + 15, "end", dim),
      words(freed ? "·" : fates[i] === "made again" ? "again" : whole(sizes[i]), columns.predicted, y + 15, "end", dim),
      words(whole(kept[i]), columns.measured, y + 15, "end", dim),
    ];
  });
}

function reference(value, x, bottom, style) {
  const { colour } = style.role("reference");
  return [svg("line", { x1: x(value), x2: x(value), y1: TOP - 8, y2: bottom, stroke: colour, "stroke-width": 1.5, "stroke-dasharray": "2 4" }),
    words("all seven matrices train", x(value), TOP - 14, "middle")];
}

// In one line, or in two where the notebook is narrow.
function key(paints, y, wide) {
  const kinds = [[{ fill: paints[0].colour }, "kept whatever trains"], [{ fill: paints[1].colour }, "kept for what trains"],
    [look("freed", paints[1].colour), "freed"], [look("made again", paints[0].colour, paints[0].hatch), "made again when it is due"]];
  return kinds.flatMap(([fill, text], i) => {
    const at = LEFT + (wide ? [0, 152, 300, 374][i] : 158 * (i % 2));
    const line = y + (wide || i < 2 ? 0 : 20);
    return [svg("rect", { x: at, y: line - 10, width: 16, height: 11, ...fill }), words(text, at + 21, line, "start", soft)];
  });
}

function draw(canvas, { answer, style }, width) {
  const [right, wide] = [width - RIGHT, width > 740];
  const last = TOP + 11 * ROW + 8;
  const bottom = last + ROW + 4;
  const x = (kib) => LEFT + ((right - LEFT) * kib) / answer.limit;
  const columns = { predicted: width - 74, measured: width - 4 };
  const paints = ["frozen", "trainable"].map((role) => {
    const { colour } = style.role(role);
    const { defs, fill } = hatched(colour);
    return { colour, defs, hatch: fill };
  });
  canvas.setAttribute("viewBox", `0 0 ${width} ${bottom + (wide ? 48 : 68)}`);
  canvas.replaceChildren(
    ...paints.map(({ defs }) => defs), ...grid(answer.limit, (right - LEFT) / 55, x, bottom, style),
    ...reference(answer.whole, x, bottom, style), ...rows(answer, x, columns, paints),
    words("predicted", columns.predicted, TOP - 14, "end", soft), words("measured", columns.measured, TOP - 14, "end", soft),
    words("kept, in all", LEFT - 10, last + 16, "end", strong),
    svg("rect", { x: x(0), y: last + 4, width: x(answer.predicted) - x(0), height: ROW - 7, fill: style.text }),
    words(whole(answer.predicted), columns.predicted, last + 16, "end", strong),
    words(whole(answer.measured), columns.measured, last + 16, "end", strong),
    words("KiB", right + 12, bottom + 16, "start", soft), ...key(paints, bottom + 40, wide),
  );
}

export default explorer((stage) => {
  const show = fitted(stage, draw);
  return (picture) => {
    show(picture);
    return { off: picture.answer.off };
  };
});
