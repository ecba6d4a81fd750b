"""The stages of pipelines/novel."""
