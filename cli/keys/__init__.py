"""The verbs of `./llmos keys`, `./llmos tenants` and `./llmos usage`."""
