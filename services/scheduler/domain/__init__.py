"""Ordering and bookkeeping without I/O: what waits, which workers have room, which offers are open."""
