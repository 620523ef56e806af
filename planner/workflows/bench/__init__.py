"""Load tests: from options to a run directory, one load after the other."""
