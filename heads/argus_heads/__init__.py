"""The built-in heads, one short file each."""
