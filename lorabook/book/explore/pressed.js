// A pressed button asks the kernel to act, which says at once that it has heard.
const PATIENCE = 2000;
const GONE = "The kernel of this view is gone: run the cell again. If it is only busy with another cell, it answers afterwards.";

export function pressed(model, name, setStatus) {
  const late = setTimeout(() => setStatus(GONE), PATIENCE);
  function hear(message) {
    if (message?.type !== "heard") return;
    clearTimeout(late);
    model.off("msg:custom", hear);
    setStatus(model.get("status"));
  }
  model.on("msg:custom", hear);
  try { model.send({ do: name }); } catch { /* a closed connection: the silence says so */ }
}
