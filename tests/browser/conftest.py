"""A server on real stores, and Debian's Chromium looking at its page."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.append(str(Path(__file__).parent))

import shop

from factories import declared
from featureplane.local.stores import embedded_stores
from featureplane.serving.app import Server, serving
from featureplane.settings import Stores


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="session")
def stores(folder: Path) -> Iterator[Stores]:
    with embedded_stores(None, search_path=os.environ.get("PATH", os.defpath)) as stores:
        shop.set_up(stores, folder)
        yield stores


@pytest.fixture(scope="session")
def server(stores: Stores, folder: Path) -> Iterator[Server]:
    (declarations,) = declared(*shop.objects(folder))
    with serving(declarations.project, stores, folder, log=sys.stderr) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "there is no chromium; make test-browser installs Debian's"
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained about: a test that expects it empties the list."""
    return []


@pytest.fixture
def page(chromium: Browser, server: Server, complaints: list[str]) -> Iterator[Page]:
    """The status page, opened; whatever the browser complains about fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/")
    page.get_by_role("table", name="Feature views").wait_for()
    yield page
    context.close()
    assert complaints == []
