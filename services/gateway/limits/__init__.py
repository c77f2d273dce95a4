"""Keeps projects and keys within their limits, from shares that the identity service grants ahead of need."""
