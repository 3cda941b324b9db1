"""Scores and costs of heads."""
