"""The verbs of `./llmos audit`."""
