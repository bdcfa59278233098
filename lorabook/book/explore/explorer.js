// The frame of every explorer: the answer's sentence, controls, stage, status line. A view is `make(stage, tools)`,
// called once; it returns `draw({state, answer, style})`, called on every change, which may return {off?, idle?}: the
// controls that change nothing now, the buttons that cannot be pressed now.
import { alive } from "./alive.js";
import { answerAt } from "./answers.js";
import { build, element } from "./controls.js";
import { unpack } from "./numbers.js";
import { paint, watch } from "./theme.js";

const SILENT = "The kernel does not answer. If it is busy, this waits for it; if it has stopped, run this cell again.";

function frame(el) {
  const part = (tag, name, more = {}) => element(tag, { class: `lb-${name}`, ...more });
  const parts = {
    root: part("section", "explorer"),
    title: part("p", "title", { "aria-live": "polite" }),
    form: part("form", "controls"),
    buttons: part("div", "buttons"),
    stage: part("div", "stage", { role: "img" }),
    notes: part("div", "notes"), // for tables, which a screen reader should enter and not take for a picture
    status: part("p", "status", { role: "status" }),
  };
  parts.root.append(parts.title, parts.form, parts.buttons, parts.stage, parts.notes, parts.status);
  parts.root.addEventListener("keydown", (event) => event.stopPropagation()); // else JupyterLab takes the arrow keys
  parts.form.addEventListener("submit", (event) => event.preventDefault());
  el.append(parts.root);
  return parts;
}

function ordered(model, key) {
  const place = (name) => model.get("order").indexOf(name);
  return Object.entries(model.get(key)).sort(([one], [other]) => place(one) - place(other));
}

function fillButtons(parts, model) {
  const buttons = ordered(model, "buttons").map(([name, label]) => {
    const button = element("button", { type: "button", "data-do": name }, label);
    button.addEventListener("click", () => model.send({ do: name }));
    return button;
  });
  parts.buttons.replaceChildren(...buttons);
}

// Sends the state to Python: at once, or when nothing has moved for `settle` seconds; and with it the names of what the
// reader moved since Python last answered, for the others may follow what was moved, and be out of date here.
function sender(model) {
  let [timer, turn] = [0, 0];
  return (values, names) => {
    model.set("values", values);
    model.set("hand", { turn: (turn += 1), names }); // the turn makes it new, so that it is sent
    clearTimeout(timer);
    if (model.get("settle") > 0) timer = setTimeout(() => model.save_changes(), 1000 * model.get("settle"));
    else model.save_changes();
  };
}

export function explorer(make) {
  function render({ model, el }) {
    const parts = frame(el);
    parts.root.dataset.view = model.get("view");
    let [style, sent, waiting, silent] = [paint(parts.root), unpack(model.get("answer")), false, false];
    const state = () => model.get("values");
    const answer = () => (model.get("tabled") ? answerAt(sent, state()) : sent);
    const setStatus = (text) => { parts.status.textContent = silent ? SILENT : text; };

    function now() {
      waiting = false;
      try {
        const current = answer();
        const { off = [], idle = [] } = draw({ state: state(), answer: current, style }) ?? {};
        if (parts.title.textContent !== current.sentence) parts.title.textContent = current.sentence;
        parts.stage.setAttribute("aria-label", current.sentence);
        controls.off(silent && !model.get("tabled") ? Object.keys(state()) : off);
        for (const button of parts.buttons.children) button.disabled = silent || idle.includes(button.dataset.do);
        setStatus(model.get("status"));
      } catch (error) {
        setStatus(`The picture could not be drawn: ${error.message}`);
        console.error(error);
      }
    }
    const redraw = () => { if (!waiting) { waiting = true; requestAnimationFrame(now); } };

    const send = sender(model);
    const byHand = new Set();
    const move = (name, value) => {
      send({ ...state(), [name]: value }, [...byHand.add(name)]);
      if (model.get("tabled")) redraw();
    };
    const controls = build(parts.form, Object.fromEntries(ordered(model, "specs")), move);
    const draw = make(parts.stage, { model, move, notes: parts.notes });
    controls.set(state());
    fillButtons(parts, model);

    const handlers = {
      "change:specs": () => { controls.respec(model.get("specs")); controls.set(state()); redraw(); },
      "change:values": () => { controls.set(state()); redraw(); },
      "change:hand": () => { if (!model.get("hand").names) byHand.clear(); },
      "change:answer": () => { sent = unpack(model.get("answer")); redraw(); },
      "change:status": () => setStatus(model.get("status")),
      "change:buttons": () => fillButtons(parts, model),
    };
    for (const [event, act] of Object.entries(handlers)) model.on(event, act);
    const unwatch = watch(() => { style = paint(parts.root); redraw(); });
    // What has all its answers with it, and no button, asks nobody.
    const asks = !model.get("tabled") || parts.buttons.children.length > 0;
    const unheard = asks ? alive(model, (answers) => { silent = !answers; redraw(); }) : () => {};
    requestAnimationFrame(() => { style = paint(parts.root); now(); }); // only now `el` stands in the page
    return () => {
      unwatch();
      unheard();
      for (const [event, act] of Object.entries(handlers)) model.off(event, act);
    };
  }
  return { render };
}
