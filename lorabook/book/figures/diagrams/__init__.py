"""The gallery in `figures/`: one file for each variant or overview, with a `draw()` that takes no arguments.

What a diagram shows, shapes and numbers included, comes from the library's own layers; only where it stands on the
page is its own.
"""
