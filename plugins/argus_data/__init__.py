"""Data sets: COCO folders and procedural scenes."""
