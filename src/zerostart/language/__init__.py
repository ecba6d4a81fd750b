"""Class descriptions written by people, and the frozen text encoders that embed them."""
