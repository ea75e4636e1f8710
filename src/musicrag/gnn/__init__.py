"""Graph and features become item and profile embeddings."""
