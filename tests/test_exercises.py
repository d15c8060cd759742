"""The exercises: solutions pass their tests, holes and usual mistakes fail them, and a hole says what is missing."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import run_command

ROOT = Path(__file__).parents[1]
EXERCISES = ROOT / "docs" / "exercises"
NAMES = sorted(path.stem for path in (EXERCISES / "solutions").glob("*.py"))
MISTAKES = {
    "attention": (" / math.sqrt(query.shape[-1])", ""),
    "beam_search": ("score / len(tokens)", "score"),
    "lstm_cell": ("torch.sigmoid(output) * torch.tanh(cell), cell", "torch.sigmoid(output) * cell, cell"),
    "masking": (
        "F.cross_entropy(logits[real], target[real])",
        "F.cross_entropy(logits.flatten(0, 1), target.flatten())",
    ),
}
"""In the solution, what is right, and what is often written."""


def check(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What ``make exercises`` runs, in a clone at ``root``, by processes that find torch and our package loaded."""
    given = ["docs/exercises", "--no-header", "-p", "no:cacheprovider", *arguments]
    return run_command(*given, cwd=root, module="pytest")


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The last line's counts: ``{"passed": 3, "failed": 1}``."""
    last = done.stdout.strip().splitlines()[-1]
    return {what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|error)", last)}


def test_the_solutions_pass() -> None:
    done = check(ROOT, "--solutions")
    assert done.returncode == 0, done.stdout
    assert set(outcome(done)) == {"passed"}


def test_the_holes_fail_and_say_what_is_not_written() -> None:
    done = check(ROOT)
    assert done.returncode == 1
    assert set(outcome(done)) == {"failed"}, done.stdout
    holes = {function.name for name in NAMES for function in functions(EXERCISES / f"{name}.py")}
    told = set(re.findall(r"not written yet: (\w+) in docs/exercises/\w+\.py; its docstring says", done.stdout))
    assert told <= holes
    assert len(told) >= len(NAMES)
    assert "Traceback" not in done.stdout
    assert "raise NotImplementedError" not in done.stdout


def test_a_usual_mistake_fails(tmp_path: Path) -> None:
    """In a copy whose solutions have one mistake each, every file of tests has a failure."""
    shutil.copytree(EXERCISES, tmp_path / "docs" / "exercises", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, (right, wrong) in MISTAKES.items():
        path = tmp_path / "docs" / "exercises" / "solutions" / f"{name}.py"
        text = path.read_text(encoding="utf-8")
        assert text.count(right) == 1
        path.write_text(text.replace(right, wrong), encoding="utf-8")
    done = check(tmp_path, "--solutions", "-rf")
    assert {*re.findall(r"^FAILED docs/exercises/test_(\w+)\.py", done.stdout, re.MULTILINE)} == set(NAMES), done.stdout


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_fills_the_holes_and_nothing_else(name: str) -> None:
    holes, solved = functions(EXERCISES / f"{name}.py"), functions(EXERCISES / "solutions" / f"{name}.py")
    assert [(hole.name, ast.unparse(hole.args)) for hole in holes] == [(f.name, ast.unparse(f.args)) for f in solved]
    for hole in holes:
        assert ast.unparse(hole.body[-1]) == f"raise NotImplementedError('{hole.name} in docs/exercises/{name}.py')"
        assert len(hole.body) == 2  # a docstring that asks, and the hole


def test_every_exercise_has_tests_and_a_mistake() -> None:
    assert {path.stem.removeprefix("test_") for path in EXERCISES.glob("test_*.py")} == set(NAMES) == set(MISTAKES)
    readme = (EXERCISES / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name}.py)" in readme for name in NAMES)
    links = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert [link for link in links if not (EXERCISES / link).exists()] == []
