"""The training that makes a baseline, before any experiment."""
