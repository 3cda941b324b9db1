"""Make class vectors with a CLIP text encoder: the one step that needs such a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from argus_core.common.folders import claim_file
from argus_core.errors import ArgusError
from argus_core.nn import ClassText
from argus_core.plugins.data_spec import open_data, task_for
from argus_core.plugins.hooks import load_plugins

PROMPTS = (
    "a photo of a {}.",
    "a photo of one {} among other things.",
    "a photo of several {}.",
    "a close-up photo of a {}.",
    "a photo of a small {} far away.",
    "a photo of part of a {}.",
    "a blurry photo of a {}.",
    "a dark photo of a {}.",
)
Encoder = Callable[[list[str]], Tensor]
"""Maps n sentences to (n, d) vectors of any length."""


def build_text(
    names: Sequence[str],
    out: Path,
    *,
    model: str = "ViT-L-14",
    pretrained: str = "openai",
    encoder: Encoder | None = None,
) -> ClassText:
    """Encode every class name in eight sentences and write the unit mean of their unit vectors to ``out``.

    This is CLIP's prompt ensembling (Radford 2021). Without an ``encoder`` the model comes from open_clip,
    which downloads it once.
    """
    claim_file(out, _is_text, "file of class vectors")
    encode = encoder or _open_clip(model, pretrained)
    with torch.no_grad():
        vectors = torch.stack([_ensemble(encode([p.format(name) for p in PROMPTS])) for name in names])
    text = ClassText(tuple(names), vectors, f"{model}/{pretrained}", PROMPTS)
    text.save(out)
    return text


def _is_text(file: Path) -> bool:
    with suppress(ArgusError):
        return bool(ClassText.load(file).names)
    return False


def _ensemble(vectors: Tensor) -> Tensor:
    return F.normalize(F.normalize(vectors.float().cpu(), dim=1).mean(dim=0), dim=0)


def _open_clip(model: str, pretrained: str) -> Encoder:
    try:
        import open_clip
    except ImportError as error:
        raise ArgusError(
            'class vectors need a text encoder, which is not installed: pip install "argus-perception[clip]"'
        ) from error
    # OpenAI's weights were trained with QuickGELU; open_clip's plain configurations lack it and merely warn.
    clip = open_clip.create_model(model, pretrained=pretrained, force_quick_gelu=pretrained == "openai").eval()
    tokenize = open_clip.get_tokenizer(model)
    return lambda sentences: clip.encode_text(tokenize(sentences))


def write_text(out: Path, data: str | None, names: str | None, model: str, pretrained: str) -> None:
    """Build class vectors for a data set's classes or the given names."""
    if (data is None) == (names is None):
        raise ArgusError("say whose vectors: either --data SPEC or --names a,b,c")
    if names is not None:
        classes = [name.strip() for name in names.split(",") if name.strip()]
    else:
        task = task_for(next(iter(open_data(str(data), load_plugins()).values())), "detect")
        classes = list(getattr(task, "classes"))  # noqa: B009
    build_text(classes, model=model, pretrained=pretrained, out=out)
    print(f"{out}: {len(classes)} class vectors of {model} ({pretrained})")
