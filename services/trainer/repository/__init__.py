"""All SQL of the trainer."""
