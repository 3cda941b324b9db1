"""Publishing an Argus as a repository of the Hugging Face hub: all of it in one commit, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from argus_core.common.files import write_json, write_text
from argus_core.common.license import License, Licenses, require_consent
from argus_core.errors import ArgusError
from argus_core.model.plan import make_plan
from argus_core.registry.places import check_repository, hub_id
from argus_core.saving.card import kept_text, make_card
from argus_core.saving.config import CONFIG, KEY, file_of, read_config
from argus_core.saving.remote import Remote, create, find_remote
from argus_core.saving.write import save

if TYPE_CHECKING:
    from argus_core.model import Composition

CARD, TERMS = "README.md", "LICENSE"


@dataclass(frozen=True)
class Upload:
    """What a push puts where, in one commit; printed as a list of ``files`` with their sizes in bytes.

    ``removed`` are files of a model that was there before. ``license`` binds the whole, ``notes`` say what else to
    think of. ``card`` is the model card. ``commit`` is empty as long as nothing was published; ``unchanged`` says that
    all was there already.
    """

    repository: str
    branch: str | None
    address: str
    files: Mapping[str, int]
    removed: tuple[str, ...]
    license: License
    notes: tuple[str, ...]
    card: str
    private: bool
    commit: str = ""
    unchanged: bool = False

    @property
    def hub_id(self) -> str:
        """What to load it by, with its branch if that is not the default."""
        return hub_id(self.repository, self.branch)

    def __str__(self) -> str:
        total = sum(self.files.values())
        sizes = {**self.files, f"in all {len(self.files)} files": total}
        rows = [f"  {name:<36} {_size(size):>10}" for name, size in sizes.items()]
        rows += [f"  {name:<36} {'removed':>10}" for name in self.removed]
        where = f"to       {self.address}{' (private)' if self.private else ''}"
        notes = [f"note     {note}" for note in self.notes]
        return "\n".join([where, f"licence  {self.license.name} ({self.license.id})", *notes, *rows])


def push(
    argus: Composition,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    variant: str | None = None,
    message: str | None = None,
    license_file: Path | None = None,
    dry_run: bool = False,
    accept_license: bool = False,
    announce: Callable[[Upload], None] = lambda upload: None,
) -> Upload:
    """Publish weights, config.json and a model card; ``announce`` is called when all is known and nothing sent yet.

    ``revision`` is a branch. Other variants of the same Argus stay, files of another one are removed in the same
    commit, as is told by ``Upload.removed``. ``dry_run`` asks the hub nothing. Raises ArgusError where terms do not let
    everybody publish, unless ``accept_license`` says that the caller may.
    """
    check_repository(repository)
    if license_file is not None and not license_file.is_file():
        raise ArgusError(f"there is no file {license_file}; give the text of the terms")
    if dry_run:
        remote = Remote(repository, revision, private)
    else:
        require_consent(argus, accept_license)
        remote = find_remote(repository, revision, private)
    with TemporaryDirectory(prefix="argus-push-") as temporary:
        folder = Path(temporary)
        upload = _write(argus, folder, remote, variant, license_file)
        announce(upload)
        if dry_run:
            require_consent(argus, accept_license)
            return upload
        if remote.commit is None:
            create(remote)
        message = message or f"{', '.join(argus.heads)} on {argus.backbone.name}"
        commit = remote.commit_files(folder, list(upload.files), upload.removed, message)
    return replace(upload, commit=commit, unchanged=commit == remote.commit)


def _write(argus: Composition, folder: Path, remote: Remote, variant: str | None, license_file: Path | None) -> Upload:
    """All files of a push, and what they replace."""
    present = remote.config()
    if present is not None and not argus.missing.keys() & present.heads.keys():
        there = {file: sha256 for file, sha256 in present.files.items() if file in remote.files}
        write_json(folder / CONFIG, {KEY: present.model_copy(update={"files": there}).model_dump(mode="json")})
    save(argus, folder, variant)  # keeps the variants that this configuration lists, if it is of the same Argus
    if license_file is not None:
        shutil.copyfile(license_file, folder / TERMS)
    licenses, config = argus.licenses(), read_config(folder)
    terms = TERMS if license_file is not None or TERMS in remote.files else ""
    place = hub_id(remote.repository, remote.branch)
    card = make_card(config, make_plan(argus), licenses, place, terms=terms)
    if kept := kept_text(remote.text(CARD)).strip():
        card += f"\n{kept}\n"
    write_text(folder / CARD, card)
    names = [file_of(variant), CONFIG, CARD, *([TERMS] if license_file is not None else [])]
    files = {name: (folder / name).stat().st_size for name in names}
    removed = tuple(remote.stale(list(config.files)))
    about = (files, removed, licenses.binding, _notes(argus, licenses, terms), card, remote.private)
    return Upload(remote.repository, remote.branch, remote.address, *about)


def _notes(argus: Composition, licenses: Licenses, terms: str) -> tuple[str, ...]:
    """What whoever publishes this should think of; ``terms`` is the file with their text, if there is one."""
    notes = []
    unstated = [
        name for name in argus.heads if argus.head(name).record.get("data") and f"data of {name}" not in licenses
    ]
    if unstated:
        notes.append(
            f"no terms are recorded of the data that {', '.join(unstated)} learned from; may you publish that?"
        )
    if licenses.binding.link and not terms:
        notes.append(f"no text of these terms is published; --license-file FILE adds that of {licenses.binding.link}")
    return tuple(notes)


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
