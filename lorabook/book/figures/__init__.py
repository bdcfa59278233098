"""The book's pictures: matplotlib figures of what a chapter measured, one file a chapter; and the gallery of diagrams.

A figure is a function of a chapter's own numbers to a `Picture`; it measures nothing. A diagram goes into `diagrams`;
what several diagrams draw with (pages, blocks, terms, plots, cells, chips) lies here, once.
"""
