"""The local stack: NATS, PostgreSQL, SeaweedFS and our services as supervised processes, all state in one directory."""
