() => {
  // From a key press to the last paint of a change below `root`. The time of the press is the browser's own, taken
  // before any handler runs; a change counts as painted two frames after it was made.
  let pressed = 0, painted = null, changed = 0;
  window.lorabookWatch = root => {
    window.lorabookObserver?.disconnect();
    window.lorabookObserver = new MutationObserver(() => {
      changed = performance.now();
      requestAnimationFrame(() => requestAnimationFrame(() => { painted = performance.now(); }));
    });
    window.lorabookObserver.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
    window.addEventListener('keydown', event => { pressed = event.timeStamp; painted = null; changed = 0; }, true);
  };
  window.lorabookPainted = async (quiet, longest) => {
    const start = performance.now();
    while (performance.now() - start < longest) {
      await new Promise(resolve => setTimeout(resolve, 20));
      if (changed && painted && performance.now() - changed > quiet) return painted - pressed;
    }
    return null;
  };
}
