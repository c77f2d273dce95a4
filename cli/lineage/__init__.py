"""Lineage: what shaped an answer, what a judgement shaped, and whether a version can be made again."""
