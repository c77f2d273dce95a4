"""The trainer: makes and improves models by recipe, and measures what came out before anyone else sees it."""
