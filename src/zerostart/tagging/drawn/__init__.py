"""The drawn data set of the tagging pipeline: machine parts in two domains."""
