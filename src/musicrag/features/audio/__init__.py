"""Encoders of the sound of a song."""
