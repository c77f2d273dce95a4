"""All SQL of rollouts."""
