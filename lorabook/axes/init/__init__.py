"""Where training starts: A, B, and what is left of W₀."""
