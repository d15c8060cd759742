"""The notebook runs from top to bottom, is stored without outputs, and names what exists."""

from __future__ import annotations

import ast
import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"
BUDGET = re.compile(r"^TOKENS = 400_000\b", re.MULTILINE)


def cells(kind: str) -> list[dict[str, Any]]:
    plain = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in plain["cells"] if cell["cell_type"] == kind]


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_it_is_stored_without_outputs_for_any_kernel_of_python() -> None:
    plain = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (plain["nbformat"], plain["metadata"]["kernelspec"]["name"]) == (4, "python3")
    for cell in cells("code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_it_explains_every_step_and_each_cell_is_python() -> None:
    assert text(cells("markdown")[0]).startswith("# First steps")
    for cell in cells("code"):
        ast.parse(text(cell))
    assert len(BUDGET.findall("\n".join(map(text, cells("code"))))) == 1
    titles = re.findall(r"^## (.*)$", "\n\n".join(map(text, cells("markdown"))), re.MULTILINE)
    assert titles == [
        *("The text", "Training", "Translating", "Looking at attention"),
        *("Changing one thing", "Comparing by length", "What next"),
    ]


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", "\n".join(map(text, cells("markdown"))))
    assert len(links) >= 4
    assert [link for link in links if not (DOCS / link).exists()] == []


def executed(folder: Path, tokens: int | None) -> list[dict[str, Any]]:
    """The code cells after the notebook was run in ``folder``, with another budget of tokens if one is given."""
    for package in ("nbclient", "nbformat", "ipykernel"):
        if find_spec(package) is None:
            pytest.skip(f"no {package} here")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if tokens is not None:
            cell.source = BUDGET.sub(f"TOKENS = {tokens}", cell.source)
    NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: dict[str, Any]) -> str:
    return "".join(output.get("text", "") for output in cell["outputs"])


def figures(cell: dict[str, Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell["outputs"])


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [4_000, None], ids=["tiny", "whole"])
def test_it_runs_from_top_to_bottom(tokens: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(DOCS.parent), os.environ.get("PYTHONPATH", ""))))
    done = executed(tmp_path, tokens)
    assert sum(map(figures, done)) == 2
    rows = re.findall(r"([\d–]+) words, +(\d+) sentences +(.*?) +(\d+\.\d) BLEU", printed(done[-2]))
    assert [row[0] for row in rows] == ["3–5", "3–5", "6–8", "6–8", "9–12", "9–12"]
    assert sum(int(row[1]) for row in rows[::2]) == 400
    assert (tmp_path / "outputs/notebook/quick/lstm/seed1/summary.json").exists()
    if tokens is None:  # what it says is to be seen
        short, long = ([float(row[3]) for row in rows[start : start + 2]] for start in (0, 4))
        assert long[1] - long[0] > 10
        assert short[0] - long[0] > short[1] - long[1]
