"""Films as frames with times, and frames with times as films."""
