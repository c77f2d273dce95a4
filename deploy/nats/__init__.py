"""The bus: server configuration, one user per service with least permissions, streams and consumers."""
