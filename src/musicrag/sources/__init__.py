"""Raw files and generators become normalised rows; knows nothing of splits or models."""
