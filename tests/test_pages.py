"""What pages show is so: excerpts are the code's lines, the tour prints what stands there, errors and figures exist."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from scripts.fill_figures import PLACE, figures, filled

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXCERPTS = [DOCS / "models.md", DOCS / "adding-a-data-set.md"]
EXCERPT = re.compile(r"^```(?:python|yaml)\n# (\S+/\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = re.compile(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"``(.+?)``|`([^`\n]+)`")


def excerpts() -> Iterator[tuple[str, str, str]]:
    """The page, the file and the lines of each excerpt."""
    for page in EXCERPTS:
        for file, lines in EXCERPT.findall(page.read_text(encoding="utf-8")):
            yield page.name, file, lines


@pytest.mark.parametrize(("page", "file", "lines"), [*excerpts()])
def test_an_excerpt_is_in_its_file(page: str, file: str, lines: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    indented = (textwrap.indent(textwrap.dedent(lines), " " * columns) for columns in range(0, 20, 4))
    assert any(f"\n{excerpt}" in text for excerpt in indented), f"{page}: these are no lines of {file}"


def test_every_model_has_excerpts() -> None:
    files = {file for page, file, _ in excerpts() if page == "models.md"}
    assert {
        f"seq2seq/models/{name}.py" for name in ("recurrent", "lstm", "bahdanau", "attention", "transformer")
    } <= files


def test_the_tour_prints_what_it_says() -> None:
    before = torch.get_rng_state()
    names: dict[str, object] = {}
    blocks = SHOWN.findall((DOCS / "tour.md").read_text(encoding="utf-8"))
    assert len(blocks) == 8
    for code, printed in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, "tour.md", "exec"), names)
        assert out.getvalue() == printed, code
    torch.set_rng_state(before)


def messages() -> list[str]:
    """The texts of the package, ``…`` for what is put into them, those that stand in one expression as one."""
    found = []
    for path in sorted((ROOT / "seq2seq").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_every_error_that_is_explained_can_be_met() -> None:
    known = messages()
    told = [
        next(filter(None, found))
        for line in (DOCS / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
        for found in CODE.findall(line.split(" | ")[0])
    ]
    assert len(told) > 25
    for line in told:
        pattern = re.compile(".*".join(re.escape(part) for part in re.split("…", line)), re.DOTALL)
        assert any(pattern.search(message) for message in known), line


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_figures_that_are_told_again_are_those_of_the_results(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert filled(text, figures()) == text, "run python -m scripts.fill_figures"


def test_every_figure_that_is_told_again_is_in_the_results_and_used() -> None:
    results = (DOCS / "results.md").read_text(encoding="utf-8")
    used = {place[1] for page in DOCS.glob("*.md") for place in PLACE.findall(page.read_text(encoding="utf-8"))}
    for key, figure in figures().items():
        assert key in used, f"{key} is in no page"
        if "%" in figure:
            figure = figure.removesuffix(" %")
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", results), f"{key}: {figure} is not in results.md"
