"""Data sets: COCO, YOLO, VOC, tables, class folders, masks, depth maps, clicks, pairs, benchmarks, scenes."""

from __future__ import annotations

from collections.abc import Mapping

from argus_core.data import Layout
from argus_core.plugins.hooks import Opener, hookimpl
from argus_data.coco import open_coco
from argus_data.folders import open_ade20k, open_cityscapes, open_folder, open_imagenet, open_images, open_nyu
from argus_data.hf import open_hf
from argus_data.layouts import known_layouts
from argus_data.pairs import open_pairs, open_pf_willow, open_spair
from argus_data.scenes import open_scene_pairs, open_scenes
from argus_data.tables import open_clicks, open_table
from argus_data.voc import open_voc
from argus_data.yolo import open_yolo


@hookimpl
def argus_datasets() -> Mapping[str, Opener]:
    """Offer every adapter under the name that starts its data spec."""
    return {
        "ade20k": open_ade20k,
        "cityscapes": open_cityscapes,
        "clicks": open_clicks,
        "coco": open_coco,
        "csv": open_table,
        "folder": open_folder,
        "hf": open_hf,
        "imagenet": open_imagenet,
        "images": open_images,
        "nyu": open_nyu,
        "pairs": open_pairs,
        "pf_willow": open_pf_willow,
        "scene_pairs": open_scene_pairs,
        "scenes": open_scenes,
        "spair": open_spair,
        "voc": open_voc,
        "yolo": open_yolo,
    }


@hookimpl
def argus_layouts() -> Mapping[str, Layout]:
    """Say how the files of the data sets look, so that a bare path is opened."""
    return known_layouts()
