"""Adapters of engines to `services.inference.engine.Engine`; a process loads exactly one."""
