"""What a model is adapted to: texts, digits, and the loop that compares ways to do it."""
