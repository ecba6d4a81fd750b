"""Files of the package's root that every room may import, and whose edits make no stage stale."""

PLUMBING = {
    "config",
    "device",
    "errors",
    "interruptions",
    "kernels",
    "outputs",
    "params",
    "prefetch",
    "records",
    "resume",
    "vega",
    "weights",
}
"""The other files there are commands, which no room imports."""
