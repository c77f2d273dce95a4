"""What may become of a job; pure."""
