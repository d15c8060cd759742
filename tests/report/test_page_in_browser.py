"""The page as a reader meets it, opened from a file in a headless browser: wide, narrow, light, dark, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seq2seq.report.page.document import Page
from seq2seq.runs.records import ExploredSentence
from tests.browsing import CONTRAST, WIDE, Watched, blank_page


class Opened(Watched):
    """The report in a browser."""

    def __init__(self, page: Any, url: str) -> None:
        super().__init__(page, url)
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        page.wait_for_selector("html[data-drawn]")

    def choose(self, number: int) -> Any:
        """Take a sentence from the list and wait until it is shown."""
        self.page.locator("#explorer-order").select_option("given")
        self.page.locator("#explorer-sentences button").nth(number).click()
        self.page.wait_for_function(
            "text => document.querySelector('#explorer-view .line span').textContent.replace(/ /g, '') === text",
            arg="".join(self.sources[number]).replace(" ", ""),
        )
        return self.page.locator(".card")

    sources: list[list[str]]


@pytest.fixture(scope="module")
def opened(written: Path, sample: Page) -> Iterator[Opened]:
    with blank_page(**WIDE) as page:
        page.set_default_timeout(20_000)
        opened = Opened(page, (written / "report.html").as_uri())
        opened.sources = [sentence[0]["src"] for sentence in sentences(sample)]
        yield opened


@pytest.fixture(autouse=True)
def no_complaint(opened: Opened) -> Iterator[None]:
    """Whatever a test does, the page says nothing, opens nothing and asks nobody."""
    opened.page.set_viewport_size({"width": 1400, "height": 900})
    opened.page.emulate_media(color_scheme="light", media="screen")
    yield
    assert opened.complaints == []
    assert opened.requests == [opened.url]


def sentences(sample: Page) -> list[tuple[ExploredSentence, ...]]:
    assert sample.explorer is not None
    return sample.explorer.sentences


def told(sentence: tuple[ExploredSentence, ...], model: int, maps: list[int], word: int) -> str:
    """What the explorer should say, from the unpacked weights."""
    matrices = [sentence[model]["attention"][n][word] for n in maps]
    mean = [sum(round(255 * row[s]) for row in matrices) / len(matrices) / 255 for s in range(len(sentence[0]["src"]))]
    top = sorted(range(len(mean)), key=lambda s: -mean[s])[:3]
    looked = ", ".join(f"{sentence[0]['src'][s]} {int(100 * mean[s] + 0.5)}\u00a0%" for s in top)
    return f"{sentence[model]['words'][word]} looked at: {looked}"


def test_every_chart_is_drawn(opened: Opened) -> None:
    boxes = opened.run(
        """() => [...document.querySelectorAll('.chart')].map((box) => {
          const svg = box.querySelector('svg');
          const drawn = svg.querySelectorAll('.role-mark path, .role-mark line, .role-mark text').length;
          const legend = svg.querySelector('.role-legend') !== null;
          return [drawn, svg.getBoundingClientRect().width, box.clientWidth, legend];
        })"""
    )
    assert len(boxes) == opened.page.locator(".panel").count() > 12
    for drawn, width, room, legend in boxes:
        assert drawn >= 3 and abs(width - room) < 2 and not legend


def test_a_chart_tells_the_numbers_below_the_pointer(opened: Opened) -> None:
    points = opened.page.locator("#figure-bleu-by-length .mark-symbol.role-mark path")
    points.last.hover()
    tip = opened.page.locator("#vg-tooltip-element.visible")
    assert "source words" in tip.inner_text() and "interval from" in tip.inner_text()
    opened.page.mouse.move(0, 0)


def test_the_explorer_answers_a_click_and_the_pointer(opened: Opened, sample: Page) -> None:
    sentence = sentences(sample)[3]
    cards = opened.choose(3)
    card = cards.nth(1)
    card.locator(".target").nth(4).click()
    assert card.locator(".told").inner_text() == told(sentence, 1, [0], 4)
    card.locator(".target").nth(6).hover()
    assert card.locator(".told").inner_text() == told(sentence, 1, [0], 6)
    weights = opened.run(
        "() => [...document.querySelectorAll('.card')[1].querySelectorAll('.source')]"
        ".map((word) => Number(word.style.getPropertyValue('--weight')))"
    )
    assert [w**2 for w in weights] == pytest.approx(sentence[1]["attention"][0][6], abs=0.005)
    assert "looked at" not in cards.nth(0).inner_text()
    assert "nothing to look at" in cards.nth(0).inner_text() and "one vector" in cards.nth(0).inner_text()


def test_the_explorer_answers_the_keyboard(opened: Opened, sample: Page) -> None:
    page, sentence = opened.page, sentences(sample)[2]
    cards = opened.choose(2)
    page.locator("#explorer-sentences button").nth(2).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert opened.run("() => document.activeElement.getAttribute('aria-current')") == "true"
    cards.nth(1).locator(".target[tabindex='0']").focus()
    for keys, word in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 13), ("Home", 0)):
        page.keyboard.press(keys)
        assert opened.run("() => document.activeElement.textContent") == sentence[1]["words"][word]
        assert cards.nth(1).locator(".told").inner_text() == told(sentence, 1, [0], word)
    assert cards.nth(1).locator("[tabindex='0']").count() == 1  # one stop for Tab, the arrows inside
    page.keyboard.press("Tab")
    assert opened.run("() => document.activeElement.tagName") == "SELECT"  # the next model's maps
    page.keyboard.press("Tab")
    assert cards.nth(2).locator(".target:focus").count() == 1


def test_a_map_or_the_mean_of_all_is_chosen(opened: Opened, sample: Page) -> None:
    sentence = sentences(sample)[4]
    card = opened.choose(4).nth(2)
    assert card.locator("option").all_inner_texts()[:2] == ["mean of all", "layer 1, head 1"]
    card.locator(".target").nth(5).click()
    assert card.locator(".told").inner_text() == told(sentence, 2, list(range(8)), 5)
    card.locator("select").select_option("layer 2, head 3")
    assert card.locator(".told").inner_text() == told(sentence, 2, [6], 5)
    opened.choose(5)  # the choice stays for the next sentence
    assert opened.page.locator(".card .told").nth(1).inner_text() == told(sentences(sample)[5], 2, [6], 0)
    opened.page.locator(".card select").select_option("mean of all")


def test_sentences_are_sorted_by_length_loss_and_difference(opened: Opened, sample: Page) -> None:
    orders: dict[str, Any] = {
        "length": lambda s: sum(word not in (",", ".") for word in s[0]["src"]),
        "loss": lambda s: max(output["nll"] for output in s),
        "difference": lambda s: max(o["chrf"] for o in s) - min(o["chrf"] for o in s),
    }
    for order, key in orders.items():
        opened.page.locator("#explorer-order").select_option(order)
        shown = opened.page.locator("#explorer-sentences .text").all_text_contents()
        wanted = ["".join(s[0]["src"]) for s in sorted(sentences(sample), key=key, reverse=True)]
        assert [text.replace(" ", "") for text in shown] == [text.replace(" ", "") for text in wanted]


def test_hostile_sentences_are_shown_as_text(opened: Opened, sample: Page) -> None:
    scripts = opened.run("() => document.scripts.length")
    for number in range(8, 12):
        sentence = sentences(sample)[number]
        cards = opened.choose(number)
        for card, output in zip(cards.all(), sentence, strict=True):
            text = card.locator(".translation").text_content()
            assert text.replace(" ", "") == ("".join(output["words"]).replace(" ", "") or "(nothing)")
        assert opened.run("() => document.querySelectorAll('img, #explorer-view script').length") == 0
    assert opened.run("() => document.scripts.length") == scripts
    opened.choose(9)  # Hebrew runs to the left, and so does the arrow
    assert opened.run("() => getComputedStyle(document.querySelector('.card .translation')).direction") == "rtl"
    opened.choose(10)
    page = opened.page
    page.locator(".card").nth(1).locator(".target[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    assert opened.run("() => document.activeElement.textContent") == sentences(sample)[10][1]["words"][1]


@pytest.mark.parametrize("width", [360, pytest.param(1400, marks=pytest.mark.slow)])
def test_nothing_is_wider_than_the_window(opened: Opened, width: int) -> None:
    page = opened.page
    page.set_viewport_size({"width": width, "height": 800})
    opened.run("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for number in (7, 8, 9, 10, 11):
        opened.choose(number)
        page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
    wide = opened.run(
        """() => [...document.querySelectorAll('.card, .line, figure, .panel svg, pre, .scroll, h1, p')]
          .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    overlapping = opened.run(  # labels of an axis that lie on each other
        """() => [...document.querySelectorAll('.role-axis-label')].filter((axis) => {
          const texts = [...axis.querySelectorAll('text')].filter((text) => text.textContent
            && getComputedStyle(text).opacity > 0 && !/rotate/.test(text.getAttribute('transform')));
          const boxes = texts.map((text) => text.getBoundingClientRect());
          return boxes.some((a, n) => boxes.slice(n + 1).some((b) =>
            a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
        }).map((axis) => axis.closest('figure').id)"""
    )
    assert overlapping == []
    opened.run("() => document.querySelectorAll('details').forEach((d) => { d.open = false; })")


def test_tables_sort_by_click_and_by_keyboard(opened: Opened) -> None:
    page = opened.page
    page.locator("#fairness summary").first.click()
    table = page.locator("#fairness table").first
    headings, column = table.locator("th"), lambda n: table.locator(f"td:nth-child({n})").all_inner_texts()
    assert column(1) == ["lstm", "bahdanau", "transformer"]
    headings.nth(2).locator("button").click()
    assert headings.nth(2).get_attribute("aria-sort") == "descending"
    assert column(3) == ["93.90", "91.83", "19.41"]
    headings.nth(2).locator("button").focus()
    page.keyboard.press("Enter")
    assert headings.nth(2).get_attribute("aria-sort") == "ascending"
    assert column(3) == ["19.41", "91.83", "93.90"]
    headings.nth(4).locator("button").click()
    assert column(5)[-1] == "–"  # what is not there comes last, however it is sorted
    headings.nth(4).locator("button").click()
    assert column(5)[-1] == "–" and headings.nth(2).get_attribute("aria-sort") == "none"
    headings.nth(0).locator("button").click()
    assert column(1) == ["bahdanau", "lstm", "transformer"]


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_everything_is_readable_light_and_dark(opened: Opened, scheme: str) -> None:
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    opened.choose(3)
    page.locator(".card .target").nth(2).click()
    page.locator("#fairness details").first.evaluate("(details) => { details.open = true; }")
    for selector in (
        *(
            "h1",
            ".answer p",
            ".warnings li",
            "h2",
            ".caption",
            "summary",
            "nav a",
            "code",
            "pre code",
            "td",
            "th button",
        ),
        *(
            ".legend li",
            "h4",
            "#explorer-sentences .text",
            "#explorer-sentences .key",
            ".score",
            ".target[aria-current]",
        ),
        *(".told", ".blind", ".source", ".role-axis-label text", ".role-axis-title text", ".mark-text.role-mark text"),
    ):
        for element in page.locator(selector).element_handles()[:12]:
            ratio = opened.run(CONTRAST, element) if "mark-text" not in selector else 5
            assert ratio >= 4.5, (selector, element.text_content(), ratio)


def test_the_button_turns_page_and_charts_over(opened: Opened) -> None:
    page = opened.page
    colours = (
        "() => [getComputedStyle(document.documentElement).backgroundColor,"
        " getComputedStyle(document.querySelector('.role-axis-label text')).fill,"
        " getComputedStyle(document.querySelector('.mark-line.role-mark path')).stroke]"
    )
    before = opened.run(colours)
    page.locator("#theme-button").click()
    dark = opened.run(colours)
    assert all(a != b for a, b in zip(before, dark, strict=True))
    page.emulate_media(media="print")
    assert opened.run(colours) == before  # paper is white
    page.emulate_media(media="screen")
    page.locator("#theme-button").click()
    assert opened.run(colours) == before


def test_on_paper_the_numbers_are_open(opened: Opened) -> None:
    opened_now = "() => [...document.querySelectorAll('details')].map((d) => d.open)"
    opened.run("() => document.querySelectorAll('details').forEach((d) => { d.open = false; })")
    opened.run("() => addEventListener('afterprint', () => { globalThis.printed = true; })")
    opened.run(f"() => addEventListener('beforeprint', () => {{ globalThis.onPaper = ({opened_now})(); }})")
    assert len(opened.page.pdf()) > 10_000
    opened.page.wait_for_function("() => globalThis.printed")
    long = opened.run(
        "() => [...document.querySelectorAll('details')].map((d) => d.querySelectorAll('tr').length > 61)"
    )
    assert opened.run("() => globalThis.onPaper") == [not many for many in long]
    assert not any(opened.run(opened_now))
