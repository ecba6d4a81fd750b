"""One checkout and one server for all tests of a process that leave them as they are."""

import pytest
from browser_sample import chromium, opened
from live_server import live_server
from served_sample import write_served


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return write_served(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def server(checkout):
    with live_server(checkout) as running:
        yield running


@pytest.fixture(scope="session")
def page_server(checkout, tmp_path_factory):
    """A server of its own for tests that judge pictures."""
    with live_server(checkout, "--store", tmp_path_factory.mktemp("page") / "store") as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser, page_server):
    with opened(browser, page_server.address) as shown:
        yield shown
