"""How llmos is run: the embedded local stack, the bus's configuration, and (later) containers and Kubernetes."""
