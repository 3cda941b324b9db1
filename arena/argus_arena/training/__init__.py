"""Training of heads: the loop, learners, checkpoints and results."""
