"""How the frozen W₀ is kept in memory: as it is, or in fewer bits."""
