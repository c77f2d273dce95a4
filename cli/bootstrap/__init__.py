"""Makes the environment that everything else runs in; standard library only, for nothing else is there yet."""
