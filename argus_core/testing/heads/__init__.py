"""Checks of heads."""
