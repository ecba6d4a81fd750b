"""The stages of pipelines/tagging."""
