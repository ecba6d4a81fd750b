"""Does language help? Every refinement against its controls."""
