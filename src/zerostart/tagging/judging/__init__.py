"""Both engines on both domains, against references."""
