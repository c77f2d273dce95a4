"""One module per command; each has `run`, whose parameters are the command's options."""
