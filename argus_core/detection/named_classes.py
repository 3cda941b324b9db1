"""Detectors whose classes are frozen vectors, so that a class can be added to a trained head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argus_core.common.tensors import tensors_sha256
from argus_core.detection.blocks import DenseTowers
from argus_core.detection.cosine import CosineClassifier
from argus_core.detection.dense import DenseHead
from argus_core.errors import ArgusError
from argus_core.nn import ClassText
from argus_core.nn.class_text import stand_in
from argus_core.tasks.detect import Detect


class NamedClasses(DenseHead):
    """A dense head with ``towers`` and a ``CosineClassifier`` in them; its option ``text`` is a file of vectors.

    A variant may learn its classes instead; then no class can be added.
    """

    towers: DenseTowers

    @property
    def classifier(self) -> CosineClassifier:
        """The part that holds the class vectors."""
        if not isinstance(self.towers.classifier, CosineClassifier):
            raise ArgusError(f"head {self.name!r} learned its classes and cannot take others; train it with vectors")
        return self.towers.classifier

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their vectors."""
        assert isinstance(self.task, Detect)
        return self.task.classes

    def add_class(self, name: str, vector: Tensor) -> None:
        """Add a class to a trained head, without training; the other classes score as before.

        ``vector`` (d,) must come from the same model as the others. The head's task gets the name, for ``Argus.detect``
        and ``save_head``. Not during training.
        """
        if not isinstance(name, str) or not name:
            raise ArgusError(f"a class needs a name, not {name!r}")
        if name in self.classes:
            raise ArgusError(f"there is a class {name!r} already; choose another name")
        self.classifier.append(vector)
        self.task = type(self.task)(**{**self.task.model_dump(), "classes": (*self.classes, name)})
        self.record = {**self.record, "added_classes": [*self.record.get("added_classes", []), name]}

    @classmethod
    def restore_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Without the text file: the saved buffer holds its vectors."""
        return {**options, "text": None}

    def notes(self) -> list[str]:
        """The source of the class vectors, and the classes without one."""
        if not isinstance(self.towers.classifier, CosineClassifier):
            return []
        vectors = self.classifier.vectors.cpu()
        if torch.allclose(vectors, stand_in(*vectors.shape), atol=1e-6):
            return ["class vectors are seeded stand-ins (no text file)"]
        missing = [name for name, known in zip(self.classes, vectors.any(dim=1).tolist(), strict=True) if not known]
        absent = [f"classes without a vector, as they had no boxes: {', '.join(missing)}"] if missing else []
        return [f"class vectors: sha256 {tensors_sha256({'vectors': vectors})}", *absent]


def class_vectors(classes: Sequence[str], text: Path | None, dim: int, option: str) -> Tensor:
    """(K, dim) vectors of the classes from a text file, or stand-ins; ``option`` is the option that sets ``dim``."""
    if text is None:
        return stand_in(len(classes), dim)
    vectors = ClassText.load(text).select(classes)
    if vectors.shape[1] != dim:
        raise ArgusError(f"{text} holds vectors of {vectors.shape[1]} dimensions; set {option}={vectors.shape[1]}")
    return vectors
