"""The command that makes a head of a few annotated images."""

from __future__ import annotations

from argus_core.cli.early import check_unused
from argus_core.cli.options import options_of
from argus_core.cli.teach_request import TeachRequest
from argus_core.common.options import parse_pairs
from argus_core.errors import ArgusError


@options_of(TeachRequest)
def teach(request: TeachRequest) -> None:
    """Add a head that is solved from a few annotated images, in seconds; say which images to annotate next."""
    _check(request)
    from argus_core.cli.teach_work import teach_model

    teach_model(request, parse_pairs(request.settings))


def _check(request: TeachRequest) -> None:
    """Raise ArgusError for a request that says too little, and for a place that is taken."""
    if request.data is None and request.suggest is None:
        raise ArgusError("give annotated images to learn from, as in `argus teach PHOTOS`, or --suggest FOLDER")
    if request.data is None and request.out is not None:
        raise ArgusError("without annotated images there is no new model to write: leave out --out, or give DATA")
    if request.data is not None and request.out is None and request.suggest is None:
        raise ArgusError("say where the taught model goes: --out FOLDER")
    if request.folds == 1:
        raise ArgusError("--folds 1 leaves no images to learn from; give 2 or more parts, or 0 for no score")
    out = request.out
    if out is not None and out.is_file():
        raise ArgusError(f"{out} is a file; choose another --out")
    if out is not None:
        check_unused(out, request.overwrite)
