"""Loops: how a served name improves by itself, turn by turn."""
