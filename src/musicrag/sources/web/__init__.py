"""Web APIs become normalised rows."""
