"""A model behind HTTP: shared passes, limits, and a page to look through."""
