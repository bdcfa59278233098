// Colours for the ground an explorer stands on, light or dark; the text's own colour tells which.
import { STYLE } from "./style.js";

function luminance(colour) {
  const [r, g, b] = (colour.match(/[\d.]+/g) ?? [0, 0, 0]).map(Number);
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}

export function paint(root) {
  const dark = luminance(getComputedStyle(root.parentElement ?? root).color) > 0.5;
  const ground = STYLE.grounds[dark ? "dark" : "light"];
  const shade = (thing) => ({ ...thing, colour: dark ? thing.dark : thing.light });
  for (const [name, colour] of Object.entries(ground)) root.style.setProperty(`--lb-${name}`, colour);
  for (const name of Object.keys(STYLE.roles)) root.style.setProperty(`--lb-role-${name}`, shade(STYLE.roles[name]).colour);
  root.style.colorScheme = dark ? "dark" : "light";
  return {
    dark,
    ...ground,
    font: getComputedStyle(root).fontFamily,
    role: (name) => shade(STYLE.roles[name]),
    variant: (name) => shade(STYLE.variants[name]),
  };
}

// Call `changed` whenever the page turns light or dark; returns how to stop.
export function watch(changed) {
  const observer = new MutationObserver(() => requestAnimationFrame(changed));
  const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "data-theme", "class"];
  for (const node of [document.documentElement, document.body]) observer.observe(node, { attributes: true, attributeFilter });
  return () => observer.disconnect();
}
