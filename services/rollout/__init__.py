"""Rollouts: a version gets its share of the traffic in steps, is watched, and is promoted or taken back."""
