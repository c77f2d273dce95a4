"""Plumbing that every service uses: bus, settings, telemetry, clock, errors. Knows contracts, knows no service."""
