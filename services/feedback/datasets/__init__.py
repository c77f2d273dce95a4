"""Data sets made of judged interactions: the same selection over the same rows gives the same bytes."""
