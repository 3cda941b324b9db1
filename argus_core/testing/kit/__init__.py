"""The parts that all checks share: the runner, isolation, comparison of values, and processes of their own."""
