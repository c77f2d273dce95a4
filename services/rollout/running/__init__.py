"""What the leading process does, again and again, until the world is as the rows want it."""
