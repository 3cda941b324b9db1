"""Heads that are solved from a few annotated images, and the images that are worth annotating next."""
