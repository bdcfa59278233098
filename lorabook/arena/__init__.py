"""All ways to adapt a model, compared fairly: the same data, equal parameters, tuned rates, ten seeds, a record."""
