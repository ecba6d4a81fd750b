"""The tagger: its network and its training."""
