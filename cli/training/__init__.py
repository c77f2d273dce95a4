"""The verbs of `./llmos train`, `./llmos jobs` and `./llmos eval`."""
