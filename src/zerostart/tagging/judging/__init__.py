"""Both engines on both domains, against the baselines."""
