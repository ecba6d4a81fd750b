"""Official DEIMv2 checkpoints and configurations, read into the layout of `transformers`."""
