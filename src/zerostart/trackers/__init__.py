"""Revisions as runs of an experiment tracker: read from git and DVC alone, after the fact. No stage knows of it."""
