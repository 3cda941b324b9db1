"""Annotations beside images, whatever said where they lie: labels, boxes, masks, depth maps."""
