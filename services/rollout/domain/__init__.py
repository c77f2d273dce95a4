"""What is decided, without knowing how it is carried out."""
