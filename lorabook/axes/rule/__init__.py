"""What happens around an optimiser step: ranks that change, budgets, draws, and a W₀ that follows."""
