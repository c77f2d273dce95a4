"""What names, limits, secrets and rights must be; touches neither bus nor database."""
