"""Embeddings, texts and graph become ranked items and ranked paths."""
