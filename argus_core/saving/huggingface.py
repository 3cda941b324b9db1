"""A bundle that ``transformers.AutoModel`` loads too."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from argus_core.common.files import write_text
from argus_core.errors import ArgusError
from argus_core.model.plan import make_plan
from argus_core.saving.card import make_card
from argus_core.saving.config import HEADS_ONLY, read_config
from argus_core.saving.write import check_folder, save

if TYPE_CHECKING:
    from argus_core.model import Composition


MODULE = "modeling_argus"
AUTO_CLASSES = {
    "model_type": "argus",
    "architectures": ["ArgusModel"],
    "auto_map": {"AutoConfig": f"{MODULE}.ArgusConfig", "AutoModel": f"{MODULE}.ArgusModel"},
}


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
    card = make_card(read_config(folder), make_plan(argus), argus.licenses(), folder.name, transformers=True)
    for name, text in ((f"{MODULE}.py", code), ("README.md", card)):
        write_text(folder / name, text)
