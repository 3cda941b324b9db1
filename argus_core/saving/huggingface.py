"""A bundle that ``transformers.AutoModel`` loads too."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from argus_core.common.files import write_text
from argus_core.errors import ArgusError
from argus_core.saving.config import HEADS_ONLY
from argus_core.saving.write import check_folder, save

if TYPE_CHECKING:
    from argus_core.model import Composition


MODULE = "modeling_argus"
AUTO_CLASSES = {
    "model_type": "argus",
    "architectures": ["ArgusModel"],
    "auto_map": {"AutoConfig": f"{MODULE}.ArgusConfig", "AutoModel": f"{MODULE}.ArgusModel"},
}
HUB_IDS = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0")
"""Identifiers of terms that the hub lists as such."""


def export_hf(argus: Composition, folder: str | Path, variant: str | None = None) -> None:
    """Save with a model card and the code that ``AutoModel.from_pretrained(folder, trust_remote_code=True)`` runs.

    That code only calls the installed ``argus_core``. Writing both variants into one folder takes two calls.
    """
    if variant == HEADS_ONLY:
        raise ArgusError("folders for transformers hold the backbone too; save the variant 'heads' with Argus.save")
    folder = Path(folder)
    check_folder(folder, f"{MODULE}.py", "README.md")
    save(argus, folder, variant, extra=AUTO_CLASSES)
    code = (files("argus_core.saving") / f"{MODULE}.txt").read_text(encoding="utf-8")
    for name, text in ((f"{MODULE}.py", code), ("README.md", card(argus))):
        write_text(folder / name, text)


def card(argus: Composition) -> str:
    """A model card: terms, heads, and how to use them."""
    licenses = argus.licenses()
    terms = licenses.binding
    license = f"license: {terms.id}" if terms.id in HUB_IDS else f"license: other\nlicense_name: {terms.id}"
    heads = "\n".join(
        f"| {name} | {argus.head(name).task.name} | {argus.head(name).name} |"
        f" {sum(p.numel() for p in argus.head(name).parameters()):,} |"
        for name in argus.heads
    )
    return f"""---
{license}
library_name: transformers
tags: [argus, custom_code]
---
# Argus on {argus.backbone.name}

One frozen backbone and these heads; `config.json` has their options, classes and scores.

| head | task | kind | parameters |
|---|---|---|---|
{heads}

```python
from transformers import AutoModel

model = AutoModel.from_pretrained("FOLDER OR HUB ID", trust_remote_code=True)  # needs pip install argus-perception
answers = model.perceive("photo.jpg")
```

`argus_core.Argus.load` reads the same files without any code of theirs.

## Licences

The whole is under: {terms.name}. {terms.note}

```
{licenses}
```
"""
