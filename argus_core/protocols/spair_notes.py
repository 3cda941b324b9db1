"""What all protocols on SPair-71k share."""

NOTES = (
    "data: spair, split test of the large layout (12,234 pairs, 88,328 keypoints)",
    "distances are in pixels of the original target image, where the region around a keypoint is a circle; "
    "implementations that measure in the stretched image must choose a scale for the box, and that choice alone was "
    "reported to move one method from 59.8 (the smaller of both scales) to 65.1 (the vertical scale), "
    "CompVis/distilldift issue 3",
    "per pair and per point differ too, as pairs have different numbers of keypoints (7.2 on average)",
    "search: every pixel of the 512x512 px enlargement, one match per keypoint, no mask of the object",
    "coordinates are taken as annotated; PCK@0.05 and PCK@0.15 and each category are reported beside it",
    "difference: source features are interpolated at the keypoint itself, not at the nearest whole pixel",
)
