"""The drawn data set of the retrieval pipeline: photos of painted panels."""
