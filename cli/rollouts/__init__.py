"""The verbs of `./llmos rollout` and `./llmos loops`."""
