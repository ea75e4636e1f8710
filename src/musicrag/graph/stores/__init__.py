"""Graph databases behind one small contract."""
