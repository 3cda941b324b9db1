"""Commands about models: build, info, export, push, bench."""

from __future__ import annotations

from typing import Annotated

import typer

from argus_core.cli.early import check_unused, checked
from argus_core.cli.options import Device, options_of
from argus_core.cli.requests import (
    GRAPHS,
    BuildRequest,
    CanvasSize,
    ExportRequest,
    Model,
    PushRequest,
    check_embeddings,
)
from argus_core.errors import ArgusError
from argus_core.registry.places import DEFAULT_MODEL, check_model


@options_of(BuildRequest)
def build(request: BuildRequest) -> None:
    """Make one model of the heads of several runs on the same backbone."""
    check_unused(request.out, request.overwrite)
    from argus_core.cli.model_work import build_model

    build_model(request)


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            callback=checked(check_model),
            help="folder or hub id of a saved Argus, or a run",
            show_default=f"{DEFAULT_MODEL}, which is built in",
        ),
    ] = None,
) -> None:
    """What a model holds: backbone, heads, classes, canvases, scores, licences."""
    from argus_core.cli.model_work import describe

    print(describe(model))


@options_of(ExportRequest)
def export(request: ExportRequest) -> None:
    """Write a model for other programs: ONNX, PyTorch or OpenVINO graphs, a transformers folder, a bundle of Argus."""
    if request.format in GRAPHS and request.variant is not None:
        raise ArgusError(
            f"--variant {request.variant} is of bundles and hf folders; {request.format} graphs hold float32 weights"
        )
    if request.format not in GRAPHS and request.embeddings:
        raise ArgusError(f"--embeddings is of graphs ({', '.join(GRAPHS)}); a {request.format} needs no preparation")
    if request.format != "openvino" and request.int8 is not None:
        raise ArgusError(f"--int8 is of OpenVINO's graphs: add --format openvino, in place of {request.format}")
    check_embeddings(request)
    from argus_core.cli.model_work import export_model

    export_model(request)


@options_of(PushRequest)
def push(request: PushRequest) -> None:
    """Publish a model on the Hugging Face hub, with a model card of its records, in one commit."""
    if not request.dry_run:
        from argus_core.common.hub import check_account

        check_account()  # before torch is imported
    from argus_core.cli.model_work import push_model

    push_model(request)


def bench(
    model: Model = None,
    canvas: CanvasSize = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="images per pass")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="timed passes")] = 5,
    device: Device = None,
) -> None:
    """Milliseconds of the backbone and of every head, the median of several passes."""
    from argus_core.cli.model_work import bench_model

    bench_model(model, canvas, batch, rounds, device)
