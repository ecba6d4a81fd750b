"""Held-out photos ask, the cases on record answer."""
