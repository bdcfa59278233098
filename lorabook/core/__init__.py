"""What every variant stands on: the recipe, LoRA itself, frozen layers, injecting, merging, training; no variant."""
