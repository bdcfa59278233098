// A waterfall of what one layer keeps: each tensor starts where the one above it ends; what is freed is a hollow box
// that adds nothing, what is made again a hatched one. Behind it, how much is kept if the seven matrices train.
import { explorer } from "./explorer.js";
import { svg } from "./svg.js";

const [WIDTH, LEFT, RIGHT, ROW, TOP] = [900, 190, 196, 22, 34];
const [X0, X1] = [LEFT, WIDTH - RIGHT];
const COLUMNS = { predicted: WIDTH - 96, measured: WIDTH - 6 };

const whole = (kib) => (kib === 0 ? "·" : kib < 10 && !Number.isInteger(kib) ? kib.toFixed(1) : String(Math.round(kib)));

function words(text, x, y, anchor = "start", more = {}) {
  return svg("text", { x, y, "text-anchor": anchor, "font-size": 12.5, ...more }, text);
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

function grid(limit, x, bottom, style) {
  const step = [50, 100, 200, 500, 1000, 2000].find((s) => limit / s <= 8) ?? 5000;
  return Array.from({ length: Math.floor(limit / step) + 1 }, (_, i) => i * step).flatMap((value) => [
    svg("line", { x1: x(value), x2: x(value), y1: TOP - 8, y2: bottom, stroke: style.grid }),
    words(String(value), x(value), bottom + 16, "middle", soft),
  ]);
}

function rows({ names, sizes, fates, kept, always }, x, paints) {
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
      words(freed ? "·" : fates[i] === "made again" ? "again" : whole(sizes[i]), COLUMNS.predicted, y + 15, "end", dim),
      words(whole(kept[i]), COLUMNS.measured, y + 15, "end", dim),
    ];
  });
}

function reference(value, x, bottom, style) {
  const { colour } = style.role("reference");
  return [svg("line", { x1: x(value), x2: x(value), y1: TOP - 8, y2: bottom, stroke: colour, "stroke-width": 1.5, "stroke-dasharray": "2 4" }),
    words("all seven matrices train", x(value), TOP - 14, "middle", { style: `fill: ${colour}` })];
}

function key(paints, y) {
  const kinds = [[{ fill: paints[0].colour }, "kept whatever trains"], [{ fill: paints[1].colour }, "kept for what trains"],
    [look("freed", paints[1].colour), "freed"], [look("made again", paints[0].colour, paints[0].hatch), "made again when due"]];
  return kinds.flatMap(([fill, text], i) => {
    const at = X0 + [0, 158, 312, 388][i];
    return [svg("rect", { x: at, y: y - 10, width: 16, height: 11, ...fill }), words(text, at + 22, y, "start", soft)];
  });
}

export default explorer((stage) => {
  const last = TOP + 11 * ROW + 8;
  const bottom = last + ROW + 4;
  const canvas = svg("svg", { viewBox: `0 0 ${WIDTH} ${bottom + 48}` });
  stage.append(canvas);
  return ({ answer, style }) => {
    const x = (kib) => X0 + ((X1 - X0) * kib) / answer.limit;
    const paints = ["frozen", "trainable"].map((role) => {
      const { colour } = style.role(role);
      const { defs, fill } = hatched(colour);
      return { colour, defs, hatch: fill };
    });
    canvas.replaceChildren(
      ...paints.map(({ defs }) => defs), ...grid(answer.limit, x, bottom, style), ...reference(answer.whole, x, bottom, style),
      ...rows(answer, x, paints),
      words("KiB predicted", COLUMNS.predicted, TOP - 14, "end", soft), words("measured", COLUMNS.measured, TOP - 14, "end", soft),
      words("kept, in all", LEFT - 10, last + 17, "end", strong),
      svg("rect", { x: x(0), y: last + 4, width: x(answer.predicted) - x(0), height: ROW - 7, fill: style.text }),
      words(whole(answer.predicted), COLUMNS.predicted, last + 17, "end", strong),
      words(whole(answer.measured), COLUMNS.measured, last + 17, "end", strong),
      words("KiB", X1 + 6, bottom + 16, "start", soft), ...key(paints, bottom + 40),
    );
    return { off: answer.off };
  };
});
