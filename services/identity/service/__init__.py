"""The calls: what each does, in one transaction with what it announces."""
