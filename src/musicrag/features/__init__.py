"""Lyrics, audio and ready-made columns become one float32 matrix per modality."""
