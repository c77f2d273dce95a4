"""Measures a version against another on questions that training never saw, and judges it by a gate."""
