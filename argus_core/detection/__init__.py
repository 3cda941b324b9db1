"""What detection heads share: point grids, assignment, losses, post-processing."""
