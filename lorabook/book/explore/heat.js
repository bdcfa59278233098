// A matrix as squares, one an entry: colour for the sign, strength for the size.
import { row } from "./numbers.js";
import { svg } from "./svg.js";

const STRENGTHS = [0.15, 0.3, 0.5, 0.75, 1];

// One path for each sign and each of a few strengths: a few nodes paint faster than hundreds. `colours` are those of
// positive and negative entries; `most` is the size that is painted in full.
export function entries(matrix, most, x, y, cell, colours) {
  const paths = new Map();
  for (let i = 0; i < matrix.shape[0]; i++) {
    row(matrix, i).forEach((value, j) => {
      const share = Math.min(1, Math.abs(value) / most);
      if (share < 0.04) return;
      const strength = STRENGTHS.find((step) => share <= step) ?? 1;
      const name = `${value > 0 ? 0 : 1} ${strength}`;
      paths.set(name, `${paths.get(name) ?? ""}M${x + j * cell},${y + i * cell}h${cell}v${cell}h${-cell}z`);
    });
  }
  return [...paths].map(([name, d]) => {
    const [sign, opacity] = name.split(" ");
    return svg("path", { d, fill: colours[sign], opacity });
  });
}
