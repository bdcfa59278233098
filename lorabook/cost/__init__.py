"""What it costs: numbers that train, bytes for a backward pass and for whole models, spectra."""
