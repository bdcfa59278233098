// A question, one control, and a line that says whether it has been answered. The answer goes to Python at once.
import { alive } from "./alive.js";
import { build, element } from "./controls.js";
import { paint, watch } from "./theme.js";

const ASK = "Not answered yet: move the control.";
const KEPT = "Kept. The chapter comes back to it in its last part.";
const SILENT = "The kernel does not answer: what you choose here reaches the chapter when you run this cell again.";

function render({ model, el }) {
  const root = element("section", { class: "lb-explorer lb-predict" });
  const form = element("form", { class: "lb-controls" });
  const status = element("p", { class: "lb-answered", role: "status" });
  root.append(element("p", { class: "lb-question" }, model.get("question")), form, status);
  root.addEventListener("keydown", (event) => event.stopPropagation()); // else JupyterLab takes the arrow keys
  form.addEventListener("submit", (event) => event.preventDefault());
  el.append(root);

  const spec = model.get("spec");
  const controls = build(form, { answer: spec }, (_name, value) => {
    model.set("answer", value);
    model.save_changes();
  });
  let silent = false;
  const show = () => {
    const answer = model.get("answer");
    if (answer !== null) controls.set({ answer });
    else if (spec.kind === "steps") controls.set({ answer: spec.values[Math.floor(spec.values.length / 2)] });
    else form.querySelector("select").selectedIndex = -1;
    root.classList.toggle("lb-open", answer === null);
    status.textContent = silent ? SILENT : answer === null ? ASK : KEPT;
  };
  show();
  model.on("change:answer", show);
  paint(root);
  requestAnimationFrame(() => paint(root)); // only now `el` stands in the page
  const unwatch = watch(() => paint(root));
  const unheard = alive(model, (answers) => { silent = !answers; show(); });
  return () => {
    unwatch();
    unheard();
    model.off("change:answer", show);
  };
}

export default { render };
