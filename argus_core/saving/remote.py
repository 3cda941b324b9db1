"""A branch of a repository of the hub, as it is before something is published there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from argus_core.common.hub import ask, check_account, fetch
from argus_core.common.hub_errors import hub_errors
from argus_core.errors import ArgusError
from argus_core.saving.config import CONFIG, FILES, BundleConfig, is_bundle, read_config

OWN = (*FILES.values(), "modeling_argus.py")
"""Files beside config.json and the card that Argus writes; also those in the folder ``heads``."""


@dataclass(frozen=True)
class Remote:
    """``files`` of a branch, by default ``main``, at a ``commit``; None, and no files, where the repository is new.

    ``new_branch``: it will begin at that commit of ``main``.
    """

    repository: str
    branch: str | None
    private: bool
    commit: str | None = None
    files: frozenset[str] = frozenset()
    new_branch: bool = False

    @property
    def address(self) -> str:
        """The page of the branch."""
        page = f"{constants.ENDPOINT}/{self.repository}"
        return page if self.branch is None else f"{page}/tree/{self.branch}"

    def text(self, file: str) -> str:
        """A text file of the branch; empty if there is none."""
        return fetch(self.repository, file, self.commit).read_text(encoding="utf-8") if file in self.files else ""

    def config(self) -> BundleConfig | None:
        """The configuration of the Argus that is there; raises ArgusError if something else is."""
        if CONFIG not in self.files:
            present = [file for file in OWN if file in self.files]
        else:
            folder = fetch(self.repository, CONFIG, self.commit).parent
            if is_bundle(folder):
                return read_config(folder, self.address)
            present = [CONFIG]
        if present:
            raise ArgusError(
                f"{self.address} holds {' and '.join(present)}, and no saved Argus; choose another repository"
            )
        return None

    def stale(self, kept: Sequence[str]) -> list[str]:
        """The files of a saved Argus that are there and not among those ``kept``."""
        ours = {file for file in self.files if file in OWN or file.startswith("heads/")}
        return sorted(ours - set(kept))

    def commit_files(self, folder: Path, files: Sequence[str], removed: Sequence[str], message: str) -> str:
        """Publish files of a folder and remove others, in one commit; returns the commit that the branch is at then."""
        api = HfApi()
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(path_in_repo=file, path_or_fileobj=folder / file) for file in files),
            *(CommitOperationDelete(path_in_repo=file) for file in removed),
        ]
        with hub_errors(f"publishing {self.repository}", self.repository):
            if self.new_branch and self.branch:
                api.create_branch(self.repository, branch=self.branch, exist_ok=True)
            # The parent makes a commit of somebody else in the meantime an error.
            done = api.create_commit(
                self.repository,
                operations,
                commit_message=message,
                revision=self.branch,
                parent_commit=self.commit,
            )
        return str(done.oid)


def find_remote(repository: str, branch: str | None, private: bool) -> Remote:
    """The branch as the hub has it; raises ArgusError where it is public and shall be ``private``."""
    check_account()
    with hub_errors(f"looking at {repository}", repository):
        try:
            info, new_branch = ask(repository, branch), False
        except RevisionNotFoundError:
            info, new_branch = ask(repository), True
        except RepositoryNotFoundError as error:
            if isinstance(error, GatedRepoError):
                raise
            return Remote(repository, branch, private, new_branch=branch is not None)
    if private and not info.private:
        raise ArgusError(
            f"{constants.ENDPOINT}/{repository} exists and is public; make it private in its settings there, choose "
            "another name, or leave out --private"
        )
    files = frozenset(file.rfilename for file in info.siblings or ())
    return Remote(repository, branch, bool(info.private), info.sha, files, new_branch)


def create(remote: Remote) -> None:
    """Make the repository; its branches are empty until something is committed."""
    with hub_errors(f"creating {remote.repository}", remote.repository):
        HfApi().create_repo(remote.repository, private=remote.private or None)
