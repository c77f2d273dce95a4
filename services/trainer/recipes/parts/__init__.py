"""What the recipes share: rows, tokens, batches, the base, checkpoints, the result."""
