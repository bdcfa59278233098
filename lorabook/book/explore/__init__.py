"""Explorers, pictures whose controls are a variant's own knobs, and the questions asked before them; nothing that computes.

Here belongs what a reader moves with a control. A `State` declares the controls, a pure `compute` asks the library for
the numbers and says them in a sentence, a small JavaScript view draws them, and `explorer.py` joins the three: the only
Python file beside `predict.py` that knows widgets.
"""
