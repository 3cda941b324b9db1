"""A browser and a server of a small model, shared by the tests of the page."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    from page_browser import a_browser

    with a_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="session")
def small_server():
    """The address of a server of all kinds of heads."""
    from page_help import served, small_argus

    with served(small_argus()) as url:
        yield url


@pytest.fixture
def page(browser, small_server):
    from page_browser import Page

    page = Page(browser, small_server).ready()
    yield page
    page.check()
