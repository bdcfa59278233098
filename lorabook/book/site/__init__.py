"""`lorabook site`: the executed chapters as static pages, which open from a folder and ask nothing of any server.

A page is a committed notebook, made by Sphinx and MyST-NB. What a notebook does not hold, the tables of its explorers,
comes from running its source once; they are kept in `build/site` for as long as source, package and data stay the same.
"""
