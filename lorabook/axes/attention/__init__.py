"""Which positions look at each other while training, and where they stand."""
