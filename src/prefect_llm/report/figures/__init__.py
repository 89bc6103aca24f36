"""Rows folded once into figures."""
