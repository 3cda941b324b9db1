"""What does the work of a command that falls into cells: this process, a Ray cluster, or SLURM."""
