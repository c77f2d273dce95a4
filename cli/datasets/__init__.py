"""The verbs of `./llmos datasets`."""
