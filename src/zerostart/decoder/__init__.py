"""Decoder tuning, the third phase: the decoder learns too, on stored encoder outputs."""
