"""How the frozen W₀ is kept: in fewer bits than the model computes with."""
