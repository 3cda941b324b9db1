"""Published benchmarks, one protocol per file."""
