// Whether the kernel that made a widget still answers. A saved copy that is opened again has none, and looks the same.
const PATIENCE = 2000;

// Calls `tell(false)` when no answer comes in time, and `tell(true)` when one does: a busy kernel answers late. Asks
// again when the connection changes. Returns how to stop listening.
export function alive(model, tell) {
  let timer;
  const hear = (message) => {
    if (message?.type !== "alive") return;
    clearTimeout(timer);
    tell(true);
  };
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(() => tell(false), PATIENCE);
    try { model.send({ type: "alive?" }); } catch { /* a closed connection: the silence says so */ }
  };
  model.on("msg:custom", hear);
  model.on("comm_live_update", ask);
  ask();
  return () => {
    clearTimeout(timer);
    model.off("msg:custom", hear);
    model.off("comm_live_update", ask);
  };
}
