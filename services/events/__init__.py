"""Events for others: what services say inside, published again by tenant, and sent to whoever asked for it."""
