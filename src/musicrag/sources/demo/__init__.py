"""The demo world: a catalogue, listeners and modalities whose hidden truth is known."""
