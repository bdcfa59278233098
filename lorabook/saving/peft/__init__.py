"""PEFT's format: every name, shape and option of it, written and read."""
