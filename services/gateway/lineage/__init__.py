"""Lineage, both ways: asks the services that own its parts, and puts the answers together."""
