"""The services of llmos: each owns its data and speaks with the others only by messages."""
