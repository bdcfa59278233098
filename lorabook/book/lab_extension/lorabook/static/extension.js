// The book's part of JupyterLab. A saved notebook names widgets that ended with their kernel, and in their place Lab says
// "Error displaying widget: model not found", even where a picture or a text stands beside the widget in the same output.
// With this extension it shows them. What has neither, a progress bar, is gone.
//
// And Lab breaks the lines of a shown source anywhere, inside its words too: here they break between words.
//
// A prebuilt extension, written as one: Lab loads this file and asks `_JUPYTERLAB.lorabook` for its plugin.
(() => {
  const WIDGET = "application/vnd.jupyter.widget-view+json";
  const MISSING = /^Error displaying widget/;

  // Gives a renderer of widgets the rest of its output, for when there is no widget, or one without its chart.
  function withRest(renderer, registry) {
    const render = renderer.renderModel.bind(renderer);
    let model, rest;

    async function show() {
      const data = Object.fromEntries(Object.entries(model.data).filter(([mime]) => mime !== WIDGET && mime !== "text/plain"));
      const mime = registry.preferredMimeType(data, model.trusted ? "any" : "ensure");
      if (!mime) return;
      rest = registry.createRenderer(mime);
      await rest.renderModel(model);
      renderer.addWidget(rest);
    }

    renderer.renderModel = async (given) => {
      model = given;
      await render(model);
      if (!MISSING.test(renderer.node.textContent)) return;
      renderer.node.textContent = "";
      await show();
      if (!rest) renderer.hide();
    };
    renderer.node.addEventListener("lorabook-chart", ({ detail: drawn }) => {
      rest?.dispose();
      rest = undefined;
      if (!drawn) show();
    });
    return renderer;
  }

  const WHOLE_WORDS = `.jp-OutputArea-output.jp-RenderedMarkdown pre { word-break: normal; overflow-wrap: break-word; }`;

  function breakBetweenWords() {
    const style = document.createElement("style");
    style.textContent = WHOLE_WORDS;
    document.head.append(style);
  }

  const plugin = {
    id: "lorabook:saved",
    autoStart: true,
    activate: (app) => {
      breakBetweenWords();
      app.docRegistry.addWidgetExtension("Notebook", {
        createNew: ({ content: { rendermime } }) => {
          const create = rendermime.createRenderer.bind(rendermime);
          rendermime.createRenderer = (mime) => (mime === WIDGET ? withRest(create(mime), rendermime) : create(mime));
        },
      });
    },
  };
  globalThis._JUPYTERLAB ??= {};
  globalThis._JUPYTERLAB.lorabook = { init: () => {}, get: async () => () => plugin };
})();
