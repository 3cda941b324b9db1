"""A backbone as a folder: architecture by timm's name, tensors, and where it comes from. Torch is not imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from argus_core.common.files import read_json
from argus_core.common.places import place
from argus_core.errors import ArgusError

ARCHITECTURE = "architecture.json"
TENSORS = "model.safetensors"
PROVENANCE = "provenance.json"
FORMAT = 1
AGAIN = "copy the folder again"


class Architecture(BaseModel):
    """What it takes to build the network and to feed it: the content of ``architecture.json``.

    ``options`` go to timm, ``mean`` and ``std`` are those of the input, ``sha256`` is ``Backbone.weights_sha256``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    model: str
    options: dict[str, Any] = Field(default_factory=dict)
    mean: list[float] = Field(min_length=3, max_length=3)
    std: list[float] = Field(min_length=3, max_length=3)
    license: str
    sha256: str

    @property
    def name(self) -> str:
        """The backbone's name in the registry."""
        return f"timm:{self.model}"

    @property
    def factory_options(self) -> dict[str, Any]:
        """The options of the registered backbone, as plain JSON values."""
        return {**self.options, "mean": self.mean, "std": self.std, "license": self.license}


def is_backbone_folder(name: str | Path) -> bool:
    """Whether a name is that of a folder with a backbone, such as `arena distill` writes."""
    return (place(name) / ARCHITECTURE).is_file()


def read_architecture(folder: str | Path) -> Architecture:
    """The architecture in a folder; raises ArgusError if it is damaged or of a later version."""
    file = place(folder) / ARCHITECTURE
    try:
        return Architecture.model_validate(read_json(file, AGAIN))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ArgusError(f"{file}: {where}: {fault['msg']}; {AGAIN}, or install a newer Argus") from error


def read_provenance(folder: str | Path) -> dict[str, Any]:
    """What a folder says of teachers, images and licences; empty if it says nothing."""
    file = place(folder) / PROVENANCE
    return dict(read_json(file, AGAIN)) if file.is_file() else {}


def describe_folder(folder: Path) -> list[str]:
    """Network, input, hash, licences and teachers of the backbone in a folder, as lines."""
    if not is_backbone_folder(folder):
        raise ArgusError(f"{folder} holds no {ARCHITECTURE}, so no backbone; `arena distill` writes such folders")
    found, made = read_architecture(folder), read_provenance(folder)
    options = ", ".join(f"{key}={value}" for key, value in found.options.items())
    parts = made.get("licenses", {}).get("parts", {})
    teachers = [
        f"teacher  {name}: {entry['backbone']} {entry['sha256'][:12]} at {entry['size']} px, {entry['license']}"
        for name, entry in made.get("teachers", {}).items()
    ]
    return [
        f"network  {found.name}" + (f" ({options})" if options else ""),
        f"input    mean {found.mean}, std {found.std}",
        f"sha256   {found.sha256}",
        f"licence  {found.license}" + (f" (parts: {', '.join(f'{k} {v}' for k, v in parts.items())})" if parts else ""),
        *teachers,
    ]
