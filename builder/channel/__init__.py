"""Conda channels in a folder: an index that is small, correct, and made without reading what is known."""
