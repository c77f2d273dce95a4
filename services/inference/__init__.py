"""The worker: drives one engine in process and answers requests that arrive over the bus."""
