"""The gallery in `figures/`: one file for each diagram, each with a `draw()`. What it shows comes from the library."""
