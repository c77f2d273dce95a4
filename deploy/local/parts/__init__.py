"""The declarations of the stack's processes, one file per kind."""
