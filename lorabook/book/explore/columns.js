// Above: the angles between OLoRA's space and PiSSA's, smallest first. Below: how much of W₀ each takes, and how much of
// its space OLoRA keeps when the columns change places.
import { explorer } from "./explorer.js";
import { percent } from "./numbers.js";
import { inPixels, levels, rule, soft, upright, words } from "./panel.js";
import { svg } from "./svg.js";

const [LEFT, HEIGHT] = [54, 418];
const [TOP, FLOOR] = [34, 180]; // of the angles
const [FIRST, ROW, NAME] = [250, 30, 196]; // of the shares

function angles({ angles }, right, style) {
  const up = (degrees) => FLOOR - ((FLOOR - TOP) * degrees) / 90;
  const step = (right - LEFT) / angles.length;
  const wide = Math.min(44, 0.7 * step);
  const colour = style.variant("OLoRA").colour;
  const bars = [...angles].flatMap((degrees, k) => {
    const x = LEFT + step * (k + 0.5);
    const named = step > 26 ? [words(`${degrees.toFixed(0)}°`, x, up(degrees) - 4, { "text-anchor": "middle" })] : [];
    return [svg("rect", { x: x - wide / 2, width: wide, y: up(degrees), height: FLOOR - up(degrees), fill: colour }), ...named];
  });
  return [words("Angles between OLoRA's space and PiSSA's", LEFT, 14, { "font-weight": 600 }),
    ...levels([0, 30, 60, 90], up, LEFT, right, style, "°"), ...bars, upright("k-th angle", (TOP + FLOOR) / 2),
    soft(`k = 1 … ${angles.length}`, (LEFT + right) / 2, FLOOR + 20, "middle")];
}

function shares({ taken, best, chance, same, same_best }, order, right, style) {
  const across = (share) => NAME + (right - 56 - NAME) * share;
  const rows = [["PiSSA takes", best, style.variant("PiSSA").colour], ["OLoRA takes", taken, style.variant("OLoRA").colour],
    ["random directions take", chance, style.role("frozen").colour]];
  const bar = ([name, share, colour], i) => {
    const y = FIRST + ROW * i;
    return [words(name, NAME - 10, y + 4, { "text-anchor": "end" }), rule(NAME, y - 10, NAME, y + 10, style.quiet),
      svg("rect", { x: NAME, y: y - 8, width: Math.max(1, across(share) - NAME), height: 16, fill: colour }),
      words(percent(share, 1), across(share) + 6, y + 4, { "font-weight": 600 })];
  };
  const y = FIRST + ROW * 3 + 34;
  return [words("Of ‖W₀‖²", LEFT, FIRST - 24, { "font-weight": 600 }), ...rows.flatMap(bar),
    words(`The start with the columns ${order}, against their own order`, LEFT, y - 18, { "font-weight": 600 }),
    words(`OLoRA's B shares ${percent(same)} of its space; PiSSA's B ${percent(same_best)}.`, LEFT, y + 4)];
}

export default explorer((stage) => inPixels(stage, HEIGHT, ({ state, answer, style }, width) => [
  ...angles(answer, width - 14, style), ...shares(answer, state.order, width - 14, style)]));
