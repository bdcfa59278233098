"""Which step sizes the factors get."""
