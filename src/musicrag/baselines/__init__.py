"""Collaborative-filtering baselines that stand beside our models in every table."""
