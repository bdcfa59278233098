// Hand-drawn SVG: making nodes, and placing them by data coordinates.

const NS = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The grey with a grid of dots that means "quantised"; returns a <defs> and the paint that uses it.
export function dotted(colour) {
  const id = `lb-dots-${Math.random().toString(36).slice(2)}`;
  const ground = svg("rect", { width: 5, height: 5, fill: colour, opacity: 0.45 });
  const dot = svg("circle", { cx: 2.5, cy: 2.5, r: 1.1, fill: colour });
  const pattern = svg("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse" }, ground, dot);
  return { defs: svg("defs", {}, pattern), fill: `url(#${id})` };
}

// The six markers of the book, centred on (x, y).
export function marker(symbol, x, y, size, colour) {
  const s = size;
  const paths = {
    circle: `M${-s},0a${s},${s} 0 1,0 ${2 * s},0a${s},${s} 0 1,0 ${-2 * s},0`,
    square: `M${-s},${-s}h${2 * s}v${2 * s}h${-2 * s}z`,
    diamond: `M0,${-1.3 * s}L${1.3 * s},0L0,${1.3 * s}L${-1.3 * s},0z`,
    "triangle-up": `M0,${-1.2 * s}L${1.1 * s},${0.9 * s}H${-1.1 * s}z`,
    cross: `M${-s / 3},${-s}h${s / 1.5}v${s / 1.5}h${s / 1.5}v${s / 1.5}h${-s / 1.5}v${s / 1.5}h${-s / 1.5}v${-s / 1.5}h${-s / 1.5}v${-s / 1.5}h${s / 1.5}z`,
    star: `M0,${-1.4 * s}L${0.35 * s},${-0.4 * s}H${1.4 * s}L${0.55 * s},${0.25 * s}L${0.85 * s},${1.25 * s}L0,${0.65 * s}L${-0.85 * s},${1.25 * s}L${-0.55 * s},${0.25 * s}L${-1.4 * s},${-0.4 * s}H${-0.35 * s}z`,
  };
  return svg("path", { d: paths[symbol], transform: `translate(${x},${y})`, fill: colour });
}

// A canvas whose unit is one pixel at every width, so that no letter shrinks with the window: returns show(picture), which
// calls draw(canvas, picture, width), now and whenever the width changes.
export function fitted(stage, draw) {
  const canvas = svg("svg");
  stage.append(canvas);
  let [picture, width] = [undefined, 0];
  const show = () => { width = stage.clientWidth; draw(canvas, picture, width || 900); };
  new ResizeObserver(() => { if (picture && stage.clientWidth !== width) show(); }).observe(stage);
  return (now) => { picture = now; show(); };
}
