"""Leaderboard and run trackers."""
