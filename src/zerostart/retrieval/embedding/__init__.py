"""From crops and contexts to vectors of one space."""
