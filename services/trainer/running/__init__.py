"""Carries out the jobs that this process has claimed: holds the lease, runs the process, publishes what came of it."""
