"""The page of the server as a person meets it, in a headless browser: keyboard, wide, narrow, light, dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import CONTRAST, WIDE, Watched, blank_page

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")


class Opened(Watched):
    """The page of the server in a browser."""

    def load(self) -> None:
        """Open the page afresh."""
        self.page.goto(f"{self.url}/")
        self.page.wait_for_selector("#models input")

    def translated(self) -> None:
        """Wait until the answer is there."""
        self.page.wait_for_function("() => /^Translated/.test(document.getElementById('status').textContent)")


@pytest.fixture(scope="module")
def opened(running: Any) -> Iterator[Opened]:
    with blank_page(**WIDE) as page, running() as server:
        page.set_default_timeout(30_000)
        yield Opened(page, server.url)


@pytest.fixture(autouse=True)
def fresh(opened: Opened) -> Iterator[None]:
    """A fresh page for each test, which says nothing and asks nobody else."""
    opened.page.set_viewport_size({"width": 1400, "height": 900})
    opened.page.emulate_media(color_scheme="light")
    opened.complaints.clear()
    opened.load()
    yield
    assert opened.complaints == []
    assert all(url.startswith(f"{opened.url}/") or url == "data:," for url in opened.requests)


def test_everything_is_reached_by_the_keyboard(opened: Opened) -> None:
    page = opened.page
    focused = "() => document.activeElement.id || document.activeElement.value || document.activeElement.className"
    assert opened.run(focused) == "text" and page.locator("#text").input_value()
    page.keyboard.press("Control+a")
    page.keyboard.type("the cat sees a dog")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Enter")
    opened.translated()
    assert page.locator(".card h3").all_inner_texts() == ["lstm", "bahdanau", "transformer"]
    assert "the cat sees a dog" in page.locator(".card .looked").first.inner_text()
    seen = []
    while not seen or opened.run("() => document.activeElement !== document.body"):
        outline = opened.run("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", seen
        page.keyboard.press("Tab")
        seen.append(opened.run(focused))
        assert len(seen) < 40, seen
    for name in ("lstm", "bahdanau", "transformer", "beam", "alternatives", "example", "join", "target"):
        assert name in seen, (name, seen)


@pytest.mark.parametrize("keys", ["Enter", "Control+Enter"])
def test_both_keys_translate_and_the_answer_is_announced(keys: str, opened: Opened) -> None:
    page = opened.page
    page.locator("#text").fill("a small dog")
    page.locator("#text").press(keys)
    opened.translated()
    status = page.locator("#status")
    assert status.get_attribute("role") == "status" and status.get_attribute("aria-live") == "polite"
    said = status.text_content()
    assert all(f"{name}: " in said for name in ("lstm", "bahdanau", "transformer"))
    assert page.locator("#text").input_value() == "a small dog"


def test_cards_show_attention_alternatives_and_scores(opened: Opened) -> None:
    page = opened.page
    page.locator("#beam").fill("4")
    page.locator("#alternatives").fill("3")
    page.locator("#text").fill("the cat sees a dog")
    page.get_by_role("button", name="Translate").click()
    opened.translated()
    cards = page.locator(".card")
    assert "nothing to look at" in cards.nth(0).inner_text() and "one vector" in cards.nth(0).inner_text()
    for card in cards.all():
        assert card.locator(".beam li").count() == 3
        assert all("log-probability" in text for text in card.locator(".beam .score").all_inner_texts())
    assert cards.nth(2).locator("option").all_inner_texts()[:2] == ["mean of all", "layer 1, head 1"]
    cards.nth(1).locator(".target").first.click()
    assert "looked at: " in cards.nth(1).locator(".told").inner_text()
    weights = "(card) => [...card.querySelectorAll('.source')].map((w) => Number(w.style.getPropertyValue('--weight')))"
    before = cards.nth(2).evaluate(weights)
    cards.nth(2).locator("select").select_option("layer 2, head 2")
    assert len(before) == 5 and cards.nth(2).evaluate(weights) != before


def test_models_can_be_left_out(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("checkbox", name="lstm").uncheck()
    page.keyboard.press("Tab")
    page.locator("#text").press("Enter")
    opened.translated()
    assert page.locator(".card h3").all_inner_texts() == ["bahdanau", "transformer"]
    for name in ("bahdanau", "transformer"):
        page.get_by_role("checkbox", name=name).uncheck()
    page.locator("#text").press("Enter")
    assert page.locator("#status").inner_text() == "Choose at least one model."


def test_the_text_grows_by_examples_and_so_does_the_figure(opened: Opened) -> None:
    page = opened.page
    first = page.locator("#text").input_value()
    page.get_by_role("button", name="Translate").click()
    opened.translated()
    assert page.locator("#sureness-chart svg").count() == 1 and not page.locator("#growth").is_visible()
    tokens = opened.run("() => document.querySelectorAll('#sureness-table tbody tr').length")
    assert tokens == opened.run("() => document.querySelectorAll('#sureness-chart path title').length") > 3
    for times in (2, 3):
        page.get_by_role("button", name="Join a sentence").click()
        page.wait_for_function(f"() => document.querySelectorAll('#growth-chart path title').length === {3 * times}")
    assert page.locator("#text").input_value().startswith(f"{first} ")
    assert "to" in page.locator("#growth-chart svg").get_attribute("aria-label")
    page.locator("#text").fill("something else")
    page.locator("#text").press("Enter")
    page.wait_for_selector("#growth", state="hidden")


def test_hostile_text_is_shown_as_text(opened: Opened) -> None:
    page, scripts = opened.page, opened.run("() => document.scripts.length")
    page.locator("#text").fill("<script>alert(1)</script> <img src=x onerror=alert(2)> שלום 日本語")
    page.locator("#text").press("Enter")
    opened.translated()
    assert "<img src=x onerror=alert(2)>" in page.locator(".card .looked").first.inner_text()
    assert opened.run("() => [document.querySelectorAll('img').length, document.scripts.length]") == [0, scripts]


def test_what_the_server_refuses_is_said(opened: Opened) -> None:
    page = opened.page
    opened.run("() => { document.getElementById('text').maxLength = 9000; }")
    page.locator("#text").fill("cat " * 900)
    page.locator("#text").press("Enter")
    page.wait_for_selector("#status.wrong")
    assert "at most 2,000" in page.locator("#status").inner_text()
    assert "413" in opened.complaints.pop()  # the browser's own words


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        *((360, "dark"), (1400, "light")),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((360, "light"), (1400, "dark"))),
    ],
)
def test_it_fits_and_can_be_read(width: int, scheme: str, opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    opened.load()
    page.locator("#text").fill("the cat sees a dog " + "verylongword" * 6)
    page.locator("#text").press("Enter")
    opened.translated()
    page.get_by_role("button", name="Join a sentence").click()
    page.wait_for_selector("#growth:not([hidden])")
    opened.run("() => document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert opened.run("() => document.documentElement.scrollWidth") <= width
    wide = opened.run(
        """() => [...document.querySelectorAll('.card, .drawing svg, textarea, button, fieldset label, .beam li, p')]
          .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    form = ("h1", "#text-label", "#hint", "legend", "fieldset label", ".actions button", "#status")
    answer = ("h2", ".caption", ".score", ".target[aria-current]", ".source", ".told", ".blind", ".beam li", "summary")
    for selector in (*form, *answer):
        for element in page.locator(selector).element_handles()[:8]:
            ratio = opened.run(CONTRAST, element)
            assert ratio >= 4.5, (selector, element.text_content(), ratio)
    for element in page.locator(".drawing text").element_handles()[:8]:
        assert opened.run(CONTRAST, element) >= 4.5
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
