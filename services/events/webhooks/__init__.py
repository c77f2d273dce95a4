"""Webhooks: who wants which events, and how each gets to them."""
