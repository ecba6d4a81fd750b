"""A class added by a sentence: a vocabulary learned from captioned marks, and the experiment that tests it."""
