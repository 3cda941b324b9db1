"""Models, heads and runs as files, and the way back."""
