// Above: the chat, a line for each turn, trained tokens filled, and over each what it costs the model. Below: what came
// of every mask, the chosen one framed; a click chooses another one.
import { explorer } from "./explorer.js";
import { row } from "./numbers.js";
import { rule, soft, words } from "./panel.js";
import { fitted, svg } from "./svg.js";

const [LETTER, PAD, GAP, BOX, BAR, MOST, SIZE] = [7.3, 5, 3, 21, 34, 12, 12];
const [LINE, LEAD, ENTRY, NAME, QUESTIONS] = [BOX + BAR + 12, 46, 25, 206, 8];

const shown = (text) => text.replaceAll("\n", "⏎").replaceAll(" ", "·");

// Where each token stands: a new line for every turn, and where a turn is wider than the picture.
function places({ tokens, turns }, width) {
  let [x, line, turn] = [0, 0, 0];
  return tokens.map((text, k) => {
    const wide = shown(text).length * LETTER + 2 * PAD;
    if (turns[k] !== turn || x + wide > width) [x, line, turn] = [0, line + 1, turns[k]];
    const place = { x, line, wide };
    x += wide + GAP;
    return place;
  });
}

function token(text, { x, line, wide }, on, nats, first, style) {
  const [y, role] = [line * LINE + BAR + LEAD, on ? style.role("trainable") : style.role("frozen")];
  const high = (BAR * Math.min(nats, MOST)) / MOST;
  const box = on ? { fill: role.colour, "fill-opacity": 0.32, stroke: role.colour, "stroke-width": 1.5 } : { fill: "none", stroke: style.grid };
  const group = svg("g", {}, svg("title", {}, first ? "nothing stands before it" : `${nats.toFixed(2)} nats`),
    svg("rect", { x, y, width: wide, height: BOX, rx: 3, ...box }),
    words(shown(text), x + PAD, y + 15, { "font-size": SIZE, "font-family": "monospace", textLength: wide - 2 * PAD, lengthAdjust: "spacingAndGlyphs" }));
  if (!first) group.append(svg("rect", { x: x + 1, y: y - 3 - high, width: wide - 2, height: Math.max(high, 1), fill: role.colour, opacity: on ? 1 : 0.55 }));
  return group;
}

function legend({ after }, style) {
  const [trained, other] = [style.role("trainable").colour, style.role("frozen").colour];
  const key = (x, fill, text, box) => [svg("rect", { x, y: 22, width: 22, height: 12, rx: 3, ...box, fill, "fill-opacity": box.stroke ? 0.32 : 0.55 }), soft(text, x + 29, 32, "start")];
  return [words(`The bar over a token: what it costs ${after ? "after" : "before"} training, in nats (full height: ${MOST} or more)`, 0, 13),
    ...key(0, trained, "trained", { stroke: trained }), ...key(100, other, "not trained", {})];
}

function outcome({ names, measures, measured }, { mask }, top, width, style, move) {
  const room = (width - NAME) / measures.length;
  const most = room - 56;
  const looks = ["trainable", "frozen", "residual"].map((name) => style.role(name).colour);
  const heads = [soft(`of ${QUESTIONS}:`, 8, top + 14, "start"), ...measures.map((text, k) => words(text, NAME + k * room, top + 14, { "font-weight": 600 }))];
  const entries = names.flatMap((name, i) => {
    const y = top + 24 + i * ENTRY;
    const bars = [...row(measured, i)].flatMap((value, k) => {
      const x = NAME + k * room;
      return [svg("rect", { x, y: y + 5, width: Math.max((most * value) / QUESTIONS, 1), height: ENTRY - 11, fill: looks[k] }),
        rule(x + most, y + 3, x + most, y + ENTRY - 4, style.grid), words(`${+value.toFixed(1)}`, x + most + 7, y + 17)];
    });
    const frame = svg("rect", { x: 0.5, y, width: width - 1, height: ENTRY - 2, rx: 3, fill: "transparent", stroke: name === mask ? style.text : "none" });
    if (i > 0) {
      frame.setAttribute("style", "cursor: pointer");
      frame.addEventListener("click", () => move("mask", name));
    }
    return [words(name, 8, y + 17), ...bars, frame];
  });
  return [...heads, ...entries];
}

function draw(canvas, { state, answer, style, move }, room) {
  const width = Math.max(room, 560);
  const at = places(answer, width);
  const top = LEAD + (at.at(-1).line + 1) * LINE + 22;
  canvas.setAttribute("viewBox", `0 0 ${width} ${top + 30 + answer.names.length * ENTRY}`);
  canvas.replaceChildren(
    ...legend(state, style),
    ...answer.tokens.map((text, k) => token(text, at[k], answer.trained[k], answer.nats[k], k === 0, style)),
    ...outcome(answer, state, top, width, style, move),
  );
}

export default explorer((stage, { move }) => {
  const show = fitted(stage, draw);
  return (picture) => show({ ...picture, move });
});
