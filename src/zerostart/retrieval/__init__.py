"""Retrieval of similar damage: crops of photos and sentences in one space, searched with filters."""
