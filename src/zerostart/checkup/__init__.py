"""What a killed DVC, a lost line or a full disk leaves in a checkout: recognised, named, and the command that mends it."""
