"""Untrusted XML as a tree. Document types are refused, so there are no entities to expand or fetch."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from argus_core import ArgusError


def read_xml(path: Path) -> Element:
    """The root element of a file; raises ArgusError, naming the file, if it is not plain XML."""
    try:
        return _parse(path.read_bytes())
    except OSError as error:
        raise ArgusError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise ArgusError(f"{path} is no annotation that can be used: {error}") from error


def _parse(content: bytes) -> Element:
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(content, True)
    return builder.close()


def _refuse(*_: object) -> None:
    raise ValueError("it declares a document type, which annotations do not need and which could hide anything")
