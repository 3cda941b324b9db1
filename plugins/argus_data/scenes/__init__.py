"""Data sets of procedural scenes, with exact annotations for every task."""

from argus_data.scenes.pairs import ScenePairSplit, open_scene_pairs
from argus_data.scenes.split import SceneSplit, open_scenes

__all__ = ["ScenePairSplit", "SceneSplit", "open_scene_pairs", "open_scenes"]
