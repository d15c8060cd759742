"""The pages of docs/ as a site: built without a warning, nothing of it is loaded from elsewhere, and it is searched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browsing import blank_page

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "docs" / "site" / "mkdocs.yml"
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
HOSTS = r"https://[\w.]*(?:unpkg|jsdelivr|cdnjs|googleapis|gstatic)[^\"'`\s)]*"
LINKS = {"canonical", "prev", "next", "alternate"}  # of <link>, which load nothing
NAMED = {"https://unpkg.com/mermaid@11/dist/mermaid.min.js", "https://unpkg.com/resize-observer-polyfill"}
"""What the theme's script could load: for a diagram of a kind that no page has, and for browsers of before 2020."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    for package in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        if find_spec(package) is None:
            pytest.skip(f"no {package} here: pip install 'seq2seq-trainer[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


class Loads(HTMLParser):
    """The addresses that a page loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads."""
        given = dict(attributes)
        if tag in LOADING and not (tag == "link" and given.get("rel") in LINKS):
            self.found.append(given.get(LOADING[tag]) or "")
        self.found += re.findall(r"url\(['\"]?([^'\")]+)", given.get("style") or "")


def is_elsewhere(address: str) -> bool:
    """Whether an address leads away from the site."""
    return re.match(r"(?:\w+:)?//", address) is not None


def pages(site: Path) -> Iterator[tuple[str, str]]:
    """Each page and its text."""
    for path in sorted(site.rglob("*.html")):
        yield path.relative_to(site).as_posix(), path.read_text(encoding="utf-8")


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    assert {"index.html", "tour.html", "models.html", "api.html"} <= {name for name, _ in pages(site)}
    for name, page in pages(site):
        assert not [address for address in Loads(page).found if is_elsewhere(address)], name
        assert 'class="mermaid"' not in page


def test_styles_and_scripts_load_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r"url\(['\"]?([^'\")]+)", text) + re.findall(r"@import\s+['\"]([^'\"]+)", text)
        assert not [address for address in loaded if is_elsewhere(address)], path
    for path in site.rglob("*.js"):
        if path.parent.name != "search":  # the index, which is the pages' text
            assert {*re.findall(HOSTS, path.read_text(encoding="utf-8"))} <= NAMED, path


def test_equations_are_made_when_the_site_is(site: Path) -> None:
    page = (site / "models.html").read_text(encoding="utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML"') > 20
    assert "arithmatex" not in page and "\\tanh" not in re.sub(r"<annotation.*?</annotation>", "", page)


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    """Links of the pages to the code, too, which lead to pages that hold it."""
    assert "Seq2Seq" in (site / "source/seq2seq/models/interface.py.html").read_text(encoding="utf-8")
    for name, page in pages(site):
        if name == "404.html":  # which a server shows under any address: its links begin at the site's root
            continue
        for link in re.findall(r'href="([^"#:]+\.html)', page):
            assert (site / name).parent.joinpath(link).resolve().exists(), (name, link)


def test_docstrings_are_on_the_page_of_the_api(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    for name in ("seq2seq.load", "seq2seq.models.interface.Memory", "seq2seq.training.update.Updater.update"):
        assert f'id="{name}"' in page


@pytest.mark.parametrize("width", [360, pytest.param(1400, marks=pytest.mark.slow)])
def test_the_search_works_from_a_disk_and_pages_fit(site: Path, width: int) -> None:
    with blank_page(viewport={"width": width, "height": 900}) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        if width < 1000:
            page.locator("label[for=__search]").locator("visible=true").first.click()
        page.locator("input.md-search__input").press_sequentially("attention")
        page.locator(".md-search-result__item").first.wait_for(state="attached")
        for name in ("models.html", "tour.html", "results.html"):
            page.goto((site / name).as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert all(address.startswith(("file:", "data:", "about:", "blob:")) for address in asked)
