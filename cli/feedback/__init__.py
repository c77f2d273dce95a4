"""The verbs of `./llmos feedback`, and how they reach feedback."""
