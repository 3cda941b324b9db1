"""Pictures of predictions, and image files of them: pure functions from arrays to RGB bytes.

``draw_*`` functions return a picture with its explanation beside or below it, never over it; ``paint_*`` functions
return only the picture, in the size of their input.
"""

from argus_core.draw.boxes import draw_boxes
from argus_core.draw.classes import draw_classes
from argus_core.draw.depth import depth_image, draw_depth, paint_depth, write_depth_png
from argus_core.draw.features import draw_pca, draw_similarity
from argus_core.draw.masks import draw_mask, index_image, index_png, paint_mask, write_index_png
from argus_core.draw.matches import draw_matches
from argus_core.draw.palette import class_color
from argus_core.draw.panel import side_by_side

__all__ = [
    "class_color",
    "depth_image",
    "draw_boxes",
    "draw_classes",
    "draw_depth",
    "draw_mask",
    "draw_matches",
    "draw_pca",
    "draw_similarity",
    "index_image",
    "index_png",
    "paint_depth",
    "paint_mask",
    "side_by_side",
    "write_depth_png",
    "write_index_png",
]
