// Native, labelled inputs for the fields of a State. Each cell: label, value, input.
import { show } from "./numbers.js";

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function slider(spec, id, changed) {
  const last = spec.values.length - 1;
  const input = element("input", { type: "range", id, min: 0, max: last, step: 1 });
  const out = element("output", { for: id });
  const label = () => {
    const text = show(spec.values[+input.value]) + (spec.unit ? ` ${spec.unit}` : "");
    out.textContent = text;
    input.setAttribute("aria-valuetext", text);
    input.style.setProperty("--lb-filled", last ? `${(100 * input.value) / last}%` : "100%");
  };
  input.addEventListener("input", () => { label(); changed(spec.values[+input.value]); });
  const set = (value) => { input.value = spec.values.indexOf(value); label(); };
  return { input, out, set };
}

function choice(spec, id, changed) {
  const input = element("select", { id }, ...spec.values.map((value) => element("option", {}, show(value))));
  input.addEventListener("input", () => changed(spec.values[input.selectedIndex]));
  return { input, out: spec.unit, set: (value) => { input.selectedIndex = spec.values.indexOf(value); } };
}

function toggle(spec, id, changed) {
  const input = element("input", { type: "checkbox", id });
  input.addEventListener("input", () => changed(input.checked));
  return { input, out: "", set: (value) => { input.checked = value; } };
}

// A box for each name; the last one that is on stays on.
function some(spec, id, changed) {
  const boxes = spec.names.map((name) => element("input", { type: "checkbox", name: `${id}-${name}`, value: name }));
  const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
  boxes.forEach((box) => box.addEventListener("input", () => {
    if (chosen().length === 0) box.checked = true;
    changed(chosen().join(", "));
  }));
  const input = element("fieldset", { id, "aria-label": spec.label }, ...boxes.map((box) => element("label", {}, box, box.value)));
  const set = (value) => boxes.forEach((box) => { box.checked = value.split(", ").includes(box.value); });
  return { input, out: spec.unit, set };
}

const KINDS = { steps: slider, choice, toggle, some };

function makeCell(name, spec, changed) {
  const id = `lb-${name}-${Math.random().toString(36).slice(2)}`; // every explorer of a page runs a copy of this file
  const { input, out, set } = KINDS[spec.kind](spec, id, (value) => changed(name, value));
  input.name = name;
  const head = element("span", { class: "lb-head" }, element("label", { for: id }, spec.label), out);
  const longest = Math.max(...[...spec.values, spec.kind === "toggle" ? spec.label : ""].map((value) => String(value).length));
  const wide = longest > 16 ? " lb-wide" : "";
  return { cell: element("div", { class: `lb-cell lb-${spec.kind}${wide}` }, head, input), input, set, key: JSON.stringify(spec) };
}

// Fill `form`; every movement calls `changed(name, value)`. Returns how to set values, to switch fields off, and to take
// other specs of the same fields. Folded ones stand under "more".
export function build(form, specs, changed) {
  const cells = {};
  const inside = element("div", { class: "lb-controls" });
  const more = element("details", { class: "lb-more" }, element("summary", {}, "more"), inside);
  for (const [name, spec] of Object.entries(specs)) {
    cells[name] = makeCell(name, spec, changed);
    (spec.folded ? inside : form).append(cells[name].cell);
  }
  if (inside.children.length) form.append(more);
  return {
    set: (values) => Object.entries(values).forEach(([name, value]) => cells[name].set(value)),
    off: (names) => Object.entries(cells).forEach(([name, { cell, input }]) => {
      input.disabled = names.includes(name);
      cell.classList.toggle("lb-off", input.disabled);
    }),
    respec: (specs) => {
      for (const [name, spec] of Object.entries(specs)) {
        if (cells[name].key === JSON.stringify(spec)) continue;
        const old = cells[name];
        const focused = old.input === document.activeElement;
        cells[name] = makeCell(name, spec, changed);
        old.cell.replaceWith(cells[name].cell);
        if (focused) cells[name].input.focus();
      }
    },
  };
}
