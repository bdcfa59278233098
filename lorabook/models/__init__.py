"""Models to adapt: the shipped base, checkpoints of others, and where the book's files lie."""
