"""Recipes: each is one command that turns data into model weights, the same weights every time."""
