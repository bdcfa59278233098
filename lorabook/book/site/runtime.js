// Explorers on a page without a kernel. A view is what Lab runs too, and it asks little of its model: to get and set
// values, to be told of changes, to send. Here the model is the state that the chapter's run left, and nobody answers but
// for this: `alive?`, because a prediction is kept by the page, and `need-plotly`, because the file lies beside the page.
(() => {
  const here = document.currentScript.src;

  function bytes(text) {
    const raw = atob(text);
    return new DataView(Uint8Array.from(raw, (letter) => letter.charCodeAt(0)).buffer);
  }

  function filled({ state, buffers }) {
    for (const { path, data } of buffers) {
      path.slice(0, -1).reduce((part, key) => part[key], state)[path.at(-1)] = bytes(data);
    }
    return state;
  }

  function plotly(reply) {
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", here).href;
    script.onload = () => reply({ type: "plotly" });
    document.head.append(script);
  }

  function modelOf(state) {
    const heard = {};
    const emit = (event, news) => [...(heard[event] ?? [])].forEach((act) => act(news));
    const reply = (message) => emit("msg:custom", message);
    return {
      get: (name) => state[name],
      set: (name, value) => { state[name] = value; emit(`change:${name}`); },
      save_changes: () => {},
      on: (event, act) => { (heard[event] ??= []).push(act); },
      off: (event, act) => { heard[event] = (heard[event] ?? []).filter((other) => other !== act); },
      send: ({ type }) => {
        if (type === "alive?") reply({ type: "alive" });
        if (type === "need-plotly") plotly(reply);
      },
    };
  }

  // Where the chapter looks back at a prediction, the page says what it was.
  function lookBack(cell, model) {
    const summary = document.querySelector(`details[data-answers="${cell}"] > summary`);
    model.on("change:answer", () => {
      const answer = [model.get("answer"), model.get("spec").unit].join(" ").trim();
      if (summary) summary.textContent = `You predicted: ${answer}. Open what was measured`;
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll(".lorabook-live")) {
      const live = globalThis.lorabookTables[place.dataset.live];
      const still = place.closest(".output").nextElementSibling;
      try {
        const model = modelOf(filled(live));
        globalThis.lorabookViews[live.view].render({ model, el: place });
        if (live.view === "predict") lookBack(place.dataset.live, model);
        still.hidden = true;
      } catch (error) {
        place.replaceChildren(); // the picture stays
        console.error(error);
      }
    }
  });

  // On paper nothing can be opened.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
})();
