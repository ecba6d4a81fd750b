"""The refined detector outside the pipeline: in Python, on pictures of any size, in other runtimes."""
