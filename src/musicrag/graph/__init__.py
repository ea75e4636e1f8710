"""Tables and training rows become a typed, weighted property graph."""
