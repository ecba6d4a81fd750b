"""The stages of pipelines/retrieval."""
