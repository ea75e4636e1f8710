"""A ranking and its paths become words that can be checked against the paths."""
