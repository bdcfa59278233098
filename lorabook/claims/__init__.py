"""What is proven, and what is shown false: the engine here, and a folder for each variant or topic.

The engine: `claim` declares, `case` is where a claim is tried, `runner` computes both sides and judges, `discovery`
finds every claim, `card` and `sides` show one. Beside it, `catalogue` orders the recipes by what their folders declare,
and `unchecked` holds what no run here can settle.
"""
