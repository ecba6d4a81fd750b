"""From a picture to its tags: windows, thresholds, which engine."""
