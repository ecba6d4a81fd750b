"""The frozen DEIMv2 detector: built, loaded, saved, and what it sees of an image."""
