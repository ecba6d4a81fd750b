"""The stage of pipelines/detector."""
