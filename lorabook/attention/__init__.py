"""How attention mixes positions while training."""
