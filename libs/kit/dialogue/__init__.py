"""What was asked and answered, in each dialect, as chat messages."""
