"""The feature cache: what the frozen detector says of every image, computed once."""
