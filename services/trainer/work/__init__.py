"""The processes that do a job's heavy work: one order on standard input, reports on standard output, nothing else."""
