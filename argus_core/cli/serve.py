"""The command `argus serve`."""

from __future__ import annotations

from argus_core.cli.options import options_of
from argus_core.cli.requests import ServeRequest, split_names, tiling
from argus_core.common.extras import need
from argus_core.errors import ArgusError
from argus_core.registry.places import check_asked
from argus_core.serve.address import bind, check_caller_rules


@options_of(ServeRequest)
def serve(request: ServeRequest) -> None:
    """Answer about images over HTTP, with a page to look at; Ctrl-C ends it."""
    check_caller_rules(request.host, request.token)
    for module in ("fastapi", "uvicorn", "fastapi_offline", "python_multipart", "prometheus_client"):
        need(module, "serve")
    tiling(request.tiles, request.overlap)
    if request.taught is not None and request.taught.is_file():
        raise ArgusError(f"--taught {request.taught} is a file; give a folder, which may be new")
    check_asked(request.model, split_names(request.tasks), None, None)
    with bind(request.host, request.port) as listener:
        from argus_core.cli.serving import serve_model

        serve_model(request, listener)
