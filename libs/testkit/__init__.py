"""Real servers as fixtures, and the deterministic fake engine. Imported by tests and benchmarks only."""
