"""Untrusted XML as a tree that knows its lines. No document types, so there are no entities to expand or to fetch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from argus_core.errors import ArgusError

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]+)["']""")


@dataclass
class Node:
    """An element: its tag in lower case and without a namespace, the line it begins on, its text and its parts."""

    tag: str
    line: int
    text: str = ""
    parts: list[Node] = field(default_factory=list)

    def first(self, tag: str) -> Node | None:
        """The first part with this tag."""
        return next((part for part in self.parts if part.tag == tag), None)

    def value(self, *tags: str) -> str:
        """The text of the element that the tags lead to, without blanks around; empty if there is none."""
        node: Node | None = self
        for tag in tags:
            node = node.first(tag) if node else None
        return " ".join(node.text.split()) if node else ""


def read_xml(path: Path) -> Node:
    """The root element of a file; raises ArgusError, with the line, if it is not plain XML."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArgusError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return _parse(*_utf8(content))
    except expat.ExpatError as error:
        raise ArgusError(f"{path}, line {error.lineno}: {_reason(content, error)}") from error
    except (ValueError, LookupError) as error:
        raise ArgusError(f"{path}: {error}") from error


def _utf8(content: bytes) -> tuple[bytes, str | None]:
    """The content, and its encoding if it is not the one that the file declares: expat reads few of them itself."""
    declared = _DECLARED.match(content)
    name = declared[1].decode("ascii").lower() if declared else "utf-8"
    if name.startswith(("utf", "us-ascii", "iso-8859-1")):
        return content, None
    return content.decode(name).encode(), "utf-8"


def _parse(content: bytes, encoding: str | None) -> Node:
    root = Node("", 0)
    open_nodes, parser = [root], expat.ParserCreate(encoding)
    parser.buffer_text = True

    def start(tag: str, _: dict[str, str]) -> None:
        node = Node(tag.rpartition(":")[2].lower(), parser.CurrentLineNumber)
        open_nodes[-1].parts.append(node)
        open_nodes.append(node)

    def text(part: str) -> None:
        open_nodes[-1].text += part

    def refuse(*_: object) -> None:
        line = parser.CurrentLineNumber
        raise ValueError(f"line {line} declares a document type, which could hide anything; delete the declaration")

    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda _: open_nodes.pop()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(content, True)
    return root.parts[0]


def _reason(content: bytes, error: expat.ExpatError) -> str:
    """What expat found, or that the bytes are in an encoding which the file does not declare."""
    if not content.strip():
        return "the file is empty"
    if not _DECLARED.match(content) and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return "not UTF-8, and the file declares no other encoding; save it as UTF-8"
    return f"no valid XML ({expat.errors.messages.get(error.code, str(error))})"
