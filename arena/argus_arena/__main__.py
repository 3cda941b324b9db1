"""``python -m argus_arena`` is ``arena``."""

from argus_arena.cli import main

main()
