"""From a picture to its tags: views, thresholds, which engine."""
