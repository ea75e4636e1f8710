"""Rows become clean typed tables, rejects with reasons, and leak-free splits."""
