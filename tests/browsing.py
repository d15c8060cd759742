"""What tests in a real browser share: a page in headless chromium, and all that it complained of and asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = "no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync no-first-run"

# Text against what lies behind it, as WCAG computes it, for colours of any notation.
CONTRAST = """(element) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = () => [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  const paint = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const above = [];
  for (let e = element; e; e = e.parentElement) above.unshift(e);
  for (const e of above) paint(getComputedStyle(e).backgroundColor);
  const behind = light(pixel());
  const style = getComputedStyle(element);
  paint(element instanceof SVGElement ? style.fill : style.color);
  const [low, high] = [behind, light(pixel())].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""


class Watched:
    """A page, with what it wrote to the console, its errors and the addresses that it asked for."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.page.evaluate(script, *arguments)


@contextmanager
def blank_page(**options: Any) -> Iterator[Any]:
    """An empty page of the browser; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as started:
        arguments = [f"--{name}" for name in ARGUMENTS.split()]
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield browser.new_page(**options)
        browser.close()


WIDE: dict[str, Any] = {
    "viewport": {"width": 1400, "height": 900},
    "color_scheme": "light",
    "reduced_motion": "reduce",
}
"""A wide page in the light, which stands still."""
