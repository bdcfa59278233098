# %% [markdown]
# # A sample
# One of each kind of output a chapter has. Not part of the book.

# %%
import time

import anywidget
import matplotlib.pyplot as plt
import torch
import traitlets
from IPython.display import HTML, Markdown, display
from tqdm.auto import tqdm

torch.arange(3) * 2

# %%
print("rank", 8)
display(Markdown("**16** parameters"), HTML("<b>kept too</b>"))
for _ in tqdm(range(3)):
    print("step")


# %%
class Slider(anywidget.AnyWidget):
    _esm = """
    export default { render({ model, el }) {
      el.addEventListener('keydown', e => e.stopPropagation());
      const [label, input, out] = ['label', 'input', 'output'].map(name => document.createElement(name));
      label.textContent = 'rank '; label.htmlFor = input.id = 'sample-rank';
      Object.assign(input, { type: 'range', min: 1, max: 32, value: model.get('rank') });
      const draw = () => { out.textContent = ' r = ' + model.get('answer'); };
      input.addEventListener('input', () => { model.set('rank', +input.value); model.save_changes(); });
      model.on('change:answer', draw); draw(); el.append(label, input, out);
    } };
    """
    rank = traitlets.Int(8).tag(sync=True)
    answer = traitlets.Int(8).tag(sync=True)

    def __repr__(self) -> str:
        return "a slider"


slider = Slider()
slider.observe(lambda change: slider.set_trait("answer", change.new), "rank")
slider

# %%
figure, axes = plt.subplots()
axes.plot([1, 2, 4])
plt.show()

# %% tags=["nbval-ignore-output"]
print(time.time())

# %% tags=["raises-exception"]
1 / 0

# %% tags=["nbval-ignore-output"]
for _ in tqdm(range(3)):
    pass
object()
