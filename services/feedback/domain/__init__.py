"""Pure rules: what a signal changes, intervals."""
