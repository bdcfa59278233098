"""Adapters on disk: what is kept, in which format, and how a file is refused."""
