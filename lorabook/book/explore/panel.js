// Hand-drawn panels: letters, lines and grids in the page's own pixels, so that no letter shrinks with the window.
import { fitted, svg } from "./svg.js";

const NARROW = 420;

export const words = (text, x, y, more = {}) => svg("text", { x, y, "font-size": 12.5, ...more }, text);

export const soft = (text, x, y, anchor) => words(text, x, y, { "text-anchor": anchor, class: "lb-soft" });

export const rule = (x1, y1, x2, y2, stroke, more = {}) => svg("line", { x1, y1, x2, y2, stroke, ...more });

// The title of a vertical axis, beside the left edge.
export function upright(title, y) {
  return words(title, 13, y, { transform: `rotate(-90 13 ${y})`, "text-anchor": "middle", class: "lb-soft" });
}

// Horizontal grid lines at `values`, each with its value at the left.
export function levels(values, place, left, right, style, unit = "") {
  return values.flatMap((v) => [rule(left, place(v), right, place(v), style.grid), soft(`${v}${unit}`, left - 8, place(v) + 4, "end")]);
}

// Returns `draw` of a view: `paint(now, width)` gives the nodes of a picture as wide as the stage and `height` high.
export function inPixels(stage, height, paint) {
  return fitted(stage, (canvas, picture, room) => {
    const width = Math.max(NARROW, room);
    canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
    canvas.replaceChildren(...paint(picture, width));
  });
}
