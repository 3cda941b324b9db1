"""The arena: cache, train, evaluate, compare."""
