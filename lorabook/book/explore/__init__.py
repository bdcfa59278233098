"""The explorers: pictures whose controls are a variant's own knobs.

A `State` declares the controls, a pure `compute` asks the library for the numbers, a small JavaScript view draws them,
and `wire.explorer` joins the three. Only `wire` knows that widgets exist.
"""
