"""Many values of parameters on the same cache."""
