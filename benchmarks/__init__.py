"""Side-by-side measurements: the whole path against the same engine called directly and against other gateways."""
