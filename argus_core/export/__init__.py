"""Graphs for other runtimes, and other engines for the backbone."""
