"""The verbs of `./llmos events` and `./llmos webhooks`."""
