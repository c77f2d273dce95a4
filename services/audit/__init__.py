"""Who did what and when: a chain of entries that cannot be changed unseen."""
