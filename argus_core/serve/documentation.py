"""The page that documents the API, with Swagger UI from a package instead of another host."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from argus_core.serve.refusal import Refusal

FILES = Path(fastapi_offline.__file__).parent / "static"
NAMES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Argus: API</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="api"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
START = """SwaggerUIBundle({
  dom_id: "#api",
  url: "openapi.json",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}


def documentation_router() -> APIRouter:
    """``/docs`` and its files."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers=POLICY)

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(START, media_type="text/javascript")

    @router.get("/docs/{name}")
    async def file(name: str) -> FileResponse:
        if name not in NAMES:
            raise Refusal("the documentation has no such file", 404)
        return FileResponse(FILES / name, headers={"Cache-Control": "max-age=86400"})

    return router
