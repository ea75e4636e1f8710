"""Qrels and runs become metrics, intervals and tests; knows nothing of models."""
