"""What `zerostart.report` is made of: revisions compared by what git and DVC keep of them, without any data."""
