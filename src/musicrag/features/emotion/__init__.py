"""Encoders of the feeling of a song."""
