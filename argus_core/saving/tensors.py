"""The tensors of an Argus under the names they have in a bundle: ``backbone.KEY`` and ``heads.NAME.KEY``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from argus_core.backbones import Backbone
from argus_core.backbones.weights import rope_periods
from argus_core.common.tensors import tensors_sha256
from argus_core.errors import ArgusError

_PATH = re.compile(r"""(?:(?<=^)|(?<=:)|(?<=:"))(?:[A-Za-z]:[\\/]|~?[\\/])\S""")


def portable(values: Any) -> Any:
    """The values with folders cut from absolute paths, also behind a prefix as in ``coco:PATH``, and nan as None."""
    if isinstance(values, Mapping):
        return {str(key): portable(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [portable(value) for value in values]
    if isinstance(values, Path):
        return values.name
    if isinstance(values, str):
        values = values.encode(errors="surrogateescape").decode(errors="replace")  # names of files that are no UTF-8
        found = _PATH.search(values)
        return values[: found.start()] + re.split(r"[\\/]", values.rstrip("\\/"))[-1] if found else values
    if isinstance(values, float) and not math.isfinite(values):
        return None
    if values is None or isinstance(values, bool | int | float):
        return values
    raise ArgusError(f"{values!r} in a record is no plain JSON value; keep numbers, texts, lists and dictionaries")


State = dict[str, Tensor]


def backbone_state(backbone: Backbone) -> State:
    """Every tensor that shapes the output; raises ArgusError if they are not those that were loaded."""
    state = {**backbone.model.state_dict(), **rope_periods(backbone.model)}
    plain = all(type(value) is Tensor for value in state.values())
    if not plain or tensors_sha256(state) != backbone.weights_sha256:
        raise ArgusError(
            f"the weights of backbone {backbone.name!r} are not those it was loaded with, as after quantising or "
            "half(); save the Argus before that"
        )
    return state


def rounded(state: State) -> State:
    """A backbone's floating-point tensors in bfloat16; RoPE periods stay as they are, for they shape every position."""
    return {
        key: value.bfloat16() if value.is_floating_point() and not key.endswith("periods") else value
        for key, value in state.items()
    }


def halved(state: State) -> State:
    """A head's floating-point tensors in float16; raises ArgusError for numbers that it cannot hold."""
    out = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    large = [key for key, value in out.items() if value.is_floating_point() and not value.isfinite().all()]
    if large:
        raise ArgusError(f"{', '.join(large)} hold numbers beyond 65504, which float16 cannot; save another variant")
    return out


def restored_sha256(stored: State, state: State) -> str:
    """The identity of a backbone whose tensors, of the types of ``state``, were loaded from ``stored``."""
    return tensors_sha256({key: value.to(state[key].dtype) for key, value in stored.items()})


def flatten(backbone: State, heads: dict[str, State]) -> State:
    """All tensors of one file by name."""
    inner = {f"heads.{name}.{key}": value for name, state in heads.items() for key, value in state.items()}
    return {**{f"backbone.{key}": value for key, value in backbone.items()}, **inner}


def read_heads(path: Path) -> dict[str, State]:
    """The heads' tensors of a file by head; raises ArgusError for a damaged file and for tensors of nothing."""
    if not path.is_file():
        raise ArgusError(f"there is no file {path}; save the model again with that variant, or fetch the file")
    try:
        with safe_open(path, framework="pt") as file:
            names = [key for key in file.keys() if not key.startswith("backbone.")]  # noqa: SIM118
            return _by_head({key: file.get_tensor(key) for key in names}, path)
    except SafetensorError as error:
        raise ArgusError(f"{path} is not a readable safetensors file ({error}); fetch or save it again") from error


def _by_head(tensors: State, path: Path) -> dict[str, State]:
    heads: dict[str, State] = {}
    for key, value in tensors.items():
        owner, name, inner = (*key.split(".", 2), "", "")[:3]
        if owner != "heads" or not inner:
            raise ArgusError(f"{path} holds {key}, of neither backbone nor head; fetch or save it again")
        heads.setdefault(name, {})[inner] = value
    return heads
