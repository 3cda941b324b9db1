"""Image files of a split: how they are found, named, read and counted."""
