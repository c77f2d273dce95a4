"""Shared libraries: contracts (messages), kit (plumbing), testkit (real servers and fakes for tests)."""
