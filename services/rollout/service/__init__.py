"""What is done when somebody calls."""
