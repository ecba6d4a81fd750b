"""What `evaluate` says of the test split: who is better, by how much, on which objects."""
