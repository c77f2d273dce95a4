"""Use cases of the trainer: ordering, looking, steering."""
