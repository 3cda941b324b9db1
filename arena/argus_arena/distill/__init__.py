"""Distillation: a student backbone learns to answer as several teachers do, in stages that a recipe lists."""
