"""Encoders of the words of a song."""
