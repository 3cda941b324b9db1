"""Names of writers, and files that one of several creates."""

from __future__ import annotations

import errno
import os
import subprocess
import threading

import pytest

from argus_core.common import files
from argus_core.common.files import create_exclusive, write_atomic
from argus_core.common.writers import is_gone, this_writer


def test_a_process_of_this_machine_is_gone_when_it_has_ended():
    assert not is_gone(this_writer()) and this_writer() == this_writer()
    process = subprocess.Popen(["sleep", "60"])
    machine, own, random = this_writer().split("-")
    other = f"{machine}-{process.pid}-{random}"
    assert not is_gone(other)
    process.kill()
    process.wait()
    assert is_gone(other)
    assert is_gone(f"{machine}-{own}-000000")  # this number belonged to an earlier process
    assert not is_gone(f"{machine}-1-{random}")  # the first process of the machine runs always
    for elsewhere in (f"00000000-{process.pid}-{random}", "", "somebody", f"{machine}-{process.pid}"):
        assert not is_gone(elsewhere)


def test_a_forked_process_has_a_name_of_its_own():
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, this_writer().encode())
        os._exit(0)
    os.wait()
    assert os.read(read, 100).decode() != this_writer()
    os.close(read), os.close(write)


@pytest.fixture(params=["links", "no links"])
def links(request, monkeypatch):
    """File systems that can link, and others."""
    if request.param == "no links":

        def refuse(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(files.os, "link", refuse)


@pytest.mark.usefixtures("links")
def test_of_many_one_creates_the_file_and_none_leaves_anything_else(tmp_path):
    made, gate = [], threading.Barrier(8)

    def create(number):
        gate.wait()
        for place in range(20):
            content = bytes([number]) * 1000
            if create_exclusive(tmp_path / str(place), content, lasting=False):
                made.append((place, content))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(place for place, _ in made) == list(range(20))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {str(p): content for p, content in made}


def test_a_link_of_which_the_answer_was_lost_counts(tmp_path, monkeypatch):
    link = os.link

    def lost(source, target):
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(files.os, "link", lost)
    assert create_exclusive(tmp_path / "a", b"1")
    monkeypatch.undo()
    assert not create_exclusive(tmp_path / "a", b"2") and (tmp_path / "a").read_bytes() == b"1"


def test_an_error_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_flush", full)
    for write in (lambda to: create_exclusive(to, b"x"), lambda to: write_atomic(to, lambda file: file.touch())):
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "a")
    assert not list(tmp_path.iterdir())
