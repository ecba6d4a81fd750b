"""From photos and their annotations to crops."""
