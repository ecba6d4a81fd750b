"""The drawn data set: metal, what marks it, and the photographs of both."""
