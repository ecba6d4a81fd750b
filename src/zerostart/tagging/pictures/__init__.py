"""From the sources of both domains to stored pictures with tags."""
