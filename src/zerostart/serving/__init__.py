"""The inspection page's server: one process speaks HTTP, one holds the models, a few decode what strangers send."""
