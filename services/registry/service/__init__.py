"""Use cases of the registry: one module per group of operations; no bus and no SQL text in them."""
