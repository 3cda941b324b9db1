"""A user's script that type checkers read and nobody runs: what each question answers, of one image or several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import assert_type

from argus_core import Argus
from argus_core.model import Perception
from argus_core.tasks.classify import ClassResult
from argus_core.tasks.correspond import MatchResult
from argus_core.tasks.depth import DepthResult
from argus_core.tasks.detect import DetectionResult
from argus_core.tasks.segment import SegmentResult

argus = Argus.load("lite")
paths = [Path("a.jpg"), Path("b.jpg")]
pixels = np.zeros((8, 8, 3), np.uint8)
picture = Image.new("RGB", (8, 8))

assert_type(argus.classify("a.jpg"), ClassResult)
assert_type(argus.classify(paths, top_k=3), list[ClassResult])
assert_type(argus.segment(pixels), SegmentResult)
assert_type(argus.segment(("a.jpg", "b.jpg")), list[SegmentResult])
assert_type(argus.depth(picture), DepthResult)
assert_type(argus.depth(paths), list[DepthResult])
assert_type(argus.detect(b"..."), DetectionResult)
assert_type(argus.detect([pixels, pixels]), list[DetectionResult])
assert_type(argus.correspond("a.jpg", picture, [[1, 2]]), MatchResult)

sure, probability = argus.segment(picture, return_confidence=True)
assert_type(sure, SegmentResult)
assert_type(probability, npt.NDArray[np.float32])
far, deviations = argus.depth(paths, return_confidence=True)
assert_type(far, list[DepthResult])
assert_type(deviations, list[npt.NDArray[np.float32]])

found = argus.detect(paths, embeddings=True)
assert_type(found, list[DetectionResult])
assert_type(found[0].embeddings, npt.NDArray[np.float32] | None)
assert_type(argus.embed(picture), npt.NDArray[np.float32])
assert_type(argus.embed("a.jpg", [[1, 2, 3, 4]]), npt.NDArray[np.float32])
assert_type(argus.embed(paths), npt.NDArray[np.float32])
assert_type(argus.embed(paths, [one.detections.boxes for one in found]), list[npt.NDArray[np.float32]])

seen = argus.perceive("a.jpg", embeddings=True)
assert_type(seen.embedding, npt.NDArray[np.float32] | None)
assert_type(seen, Perception)
assert_type(argus.perceive(["a.jpg"]), list[Perception])
assert_type(seen["classification"].class_name, str)
assert_type(seen["depth"], DepthResult)
assert_type(seen["segmentation"], SegmentResult)
assert_type(seen["detections"], DetectionResult)
assert_type(seen["depth_uncertainty"], npt.NDArray[np.float32])
