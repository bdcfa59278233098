"""How the trained numbers move: rates, paged state, private gradients."""
