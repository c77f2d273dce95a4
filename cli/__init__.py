"""The `llmos` command: brings the stack up, asks it, looks into it, takes it down, tests it."""
