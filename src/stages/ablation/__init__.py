"""The stages of pipelines/ablation."""
