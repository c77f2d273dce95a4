"""The verbs of `./llmos workers`, `queues`, `dead-letters` and `settings`."""
