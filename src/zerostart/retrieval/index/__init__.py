"""The cases on record, searched with filters."""
