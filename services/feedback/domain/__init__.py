"""Pure rules: texts of answers, what a signal changes, intervals."""
