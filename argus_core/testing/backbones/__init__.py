"""Checks of backbones."""
