"""musicrag: multi-hop retrieval-augmented music recommendation, from data to an ablation table."""

__version__ = "0.1.0"
