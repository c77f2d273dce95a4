"""The verbs of `./llmos models`, and how they reach the registry."""
