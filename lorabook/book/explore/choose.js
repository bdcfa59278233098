// The bill as a waterfall against the GPU's memory; below, the code with its reasons, and every contender with what is
// against it or with its measured loss.
import { element } from "./controls.js";
import { explorer } from "./explorer.js";
import { inPixels, rule, soft, words } from "./panel.js";
import { svg } from "./svg.js";

const [LEFT, RIGHT, ROW, TOP, HEIGHT] = [104, 70, 22, 26, 240];

function bill({ purposes, gib }, there, width, style) {
  const most = Math.max(there, gib.reduce((sum, size) => sum + size, 0));
  const across = (size) => LEFT + ((width - LEFT - RIGHT) * size) / (1.04 * most);
  const colour = style.role("frozen").colour;
  let from = 0;
  const rows = purposes.flatMap((name, i) => {
    const y = TOP + ROW * i;
    const [start, end] = [across(from), across((from += gib[i]))];
    return [words(name, LEFT - 8, y + 15, { "text-anchor": "end" }),
      svg("rect", { x: start, y: y + 3, width: Math.max(1, end - start), height: ROW - 7, fill: colour }),
      words(gib[i].toFixed(gib[i] < 0.1 ? 2 : 1), end + 6, y + 15)];
  });
  const bottom = TOP + ROW * purposes.length + 4;
  const { colour: limit, dash } = style.role("false");
  const at = across(there);
  return [rule(LEFT, TOP - 4, LEFT, bottom, style.quiet), ...rows,
    rule(at, TOP - 6, at, bottom, limit, { "stroke-width": 2, "stroke-dasharray": dash === "dash" ? "8 5" : "none" }),
    words(`${there} GiB`, at, TOP - 10, { "text-anchor": "middle" }),
    words("in all", LEFT - 8, bottom + 18, { "text-anchor": "end", "font-weight": 600 }),
    words(`${from.toFixed(1)} GiB`, across(from), bottom + 18, { "text-anchor": "middle", "font-weight": 600 }),
    soft("GiB at the peak of a step", LEFT, 14, "start")];
}

function contenders({ names, against, losses, says }) {
  const row = (name, i) => {
    const decided = ["better", "worse"].includes(says[i]);
    const cells = [name, against[i] || "yes", losses[i], name === "LoRA" ? "" : says[i].replace(" at this size", "") || "not run"].map((text) => element("td", {}, text));
    if (against[i]) cells.slice(0, 2).forEach((cell) => { cell.style.color = "var(--lb-quiet)"; });
    else cells[0].style.fontWeight = 600;
    if (decided) cells[2].style.fontWeight = 600;
    cells[1].style.textAlign = "left";
    return element("tr", {}, ...cells);
  };
  const head = ["contender", "can it go there?", "loss − LoRA's", "ten seeds say"].map((name) => element("th", { scope: "col" }, name));
  head[1].style.textAlign = "left";
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...names.map(row)));
}

function written({ code, why }) {
  const lines = element("pre", { style: "margin: 4px 0; padding: 8px 10px; overflow-x: auto; font-size: 12.5px; background: none; border: 1px solid var(--lb-grid); color: var(--lb-text)" }, code.join("\n"));
  return [lines, element("ul", { style: "margin: 4px 0 8px; padding-left: 20px" }, ...why.map((text) => element("li", {}, text)))];
}

export default explorer((stage, { notes }) => {
  const draw = inPixels(stage, HEIGHT, ({ state, answer, style }, width) => bill(answer, state.gpu, width, style));
  const [plan, table] = [element("div"), element("div", { class: "lb-runs" })];
  notes.append(plan, table);
  let told;
  return (now) => {
    draw(now);
    plan.replaceChildren(...written(now.answer));
    if (told === now.answer.contenders) return; // a long table, which only the place where it runs changes
    told = now.answer.contenders;
    table.replaceChildren(contenders(told));
  };
});
