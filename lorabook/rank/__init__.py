"""Rules that act around each optimiser step."""
