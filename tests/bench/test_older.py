"""An older commit beside the working tree: which code runs, how the two are compared, and what cannot be compared."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import commits
from scripts.bench import __main__ as bench
from scripts.bench import older, plan, rounds
from scripts.bench.context import Bench
from scripts.bench.corpus import Text
from scripts.bench.figures import earlier, record_of
from scripts.bench.parts import quality
from scripts.bench.report import terminal
from scripts.bench.report.markdown import report
from scripts.bench.worker import Row

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "seq2seq-trainer"
version = "0"
dependencies = ["no-such-package"]
[tool.setuptools]
packages = ["seq2seq"]
"""
WORKER = """
import itertools, time
from pathlib import Path
import seq2seq
from {protocol} import Channel
channel = Channel()
data = Path(channel.spec["data"])
lines = (data / "{text}").read_text()
channel.on("check", lambda _: {{"own": 2.0, "recomputed": 2.0}})
channel.ready(seq2seq.COMMIT, 7, [lines, *channel.spec["arguments"]], precision="fp32")
for batch in channel.batches(itertools.repeat(5), lambda batch: batch):
    time.sleep(0.02)
"""


def commit(repository: Path, said: str) -> str:
    (repository / "seq2seq" / "__init__.py").write_text(f"COMMIT = {said!r}\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for line in (["add", "."], [*who, "commit", "-q", "-m", said], ["rev-parse", "HEAD"]):
        done = subprocess.run(["git", *line], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def hashes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A tiny repository of three commits: without a bench, with a worker that is a script, and with today's."""
    repository = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "seq2seq").mkdir()
    (repository / "pyproject.toml").write_text(PROJECT)
    found = {"none": commit(repository, "none")}
    workers = repository / "scripts" / "bench" / "workers"
    workers.mkdir(parents=True)
    protocol = Path(older.__file__).parent / "workers" / "protocol.py"
    shutil.copy(protocol, workers / "gate.py")
    (workers / "ours.py").write_text(WORKER.format(protocol="gate", text="test.pieces.src"))
    found["script"] = commit(repository, "script")
    (workers / "gate.py").rename(workers / "protocol.py")
    (workers / "ours.py").write_text(WORKER.format(protocol="scripts.bench.workers.protocol", text="test.tokens.src"))
    for folder in (workers, workers.parent, workers.parents[1]):
        (folder / "__init__.py").touch()
    found["module"] = commit(repository, "module")
    commit(repository, "today")
    return repository, found


@pytest.fixture
def context(
    hashes: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Bench, Text, dict[str, str]]:
    """A bench and a text, where the tiny repository is the project's."""
    repository, found = hashes
    monkeypatch.setattr(commits, "ROOT", repository)
    monkeypatch.setattr(older, "CACHE", tmp_path / "cache")
    text = Text("text", tmp_path / "text-1", ["data=text", "data.cache=ours"], {"pieces": 8})
    text.folder.mkdir()
    (text.folder / "test.tokens.src").write_text("▁a ▁b\n")
    return Bench(plan.QUICK, "cpu", 1, tmp_path), text, found


@pytest.mark.parametrize("kind", ["script", pytest.param("module", marks=pytest.mark.slow)])
def test_the_code_of_the_commit_runs_in_turns_with_ours(
    kind: str, context: tuple[Bench, Text, dict[str, str]], fake: Callable[..., Row]
) -> None:
    """Its package and its worker, not those of the tree; the same text, prepared in its own clone."""
    asked, text, found = context
    asked.against = older.of_revision(found[kind][:9])
    (row,) = asked.rows(plan.TRAIN_CASES[2], text, "train", [])
    rows = [fake(contender="ours", precision="auto"), row]
    rounds.measure(rows, 2, 0.1)
    assert row.failed is None and row.about["version"] == kind
    assert row.about["notes"] == ["▁a ▁b\n", "data=text", f"data.cache={asked.against.tree / 'data'}"]
    name = f"commit {found[kind][:7]}"
    (line,) = earlier("train", list(map(record_of, rows)), [name])
    assert line["against"] == f"{name} fp32" and line["ratio"]["median"] > 1.3
    assert older.of_revision(found[kind]) == asked.against  # kept, not made anew


def test_a_package_that_is_not_the_commits_is_not_measured(context: tuple[Bench, Text, dict[str, str]]) -> None:
    """Else a ratio of 1 would be a bench that compares the tree with itself."""
    asked, text, found = context
    asked.against = older.of_revision(found["module"])
    for package in (".package/seq2seq", "seq2seq"):
        shutil.rmtree(asked.against.tree / package)
    assert list(asked.rows(plan.TRAIN_CASES[2], text, "train", [])) == []
    assert f"not from {asked.against.tree}" in asked.missing[asked.against.name]


@pytest.mark.parametrize(
    ("name", "why"), [("abc123", "abc123 is no commit of "), ("none", "take a commit that has the bench")]
)
def test_what_cannot_be_compared_is_one_line(
    name: str,
    why: str,
    context: tuple[Bench, Text, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "quick", "--against", context[2].get(name, name)])
    assert bench.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("--against: ") and why in said and len(said.splitlines()) == 1


def test_a_commit_whose_worker_fails_is_left_out(context: tuple[Bench, Text, dict[str, str]]) -> None:
    asked, text, found = context
    asked.against = older.of_revision(found["module"])
    (text.folder / "test.tokens.src").unlink()
    assert list(asked.rows(plan.TRAIN_CASES[2], text, "train", [])) == []
    assert "No such file" in asked.missing[f"commit {found['module'][:7]}"]


def test_time_to_quality_is_compared_with_the_commit_and_it_is_no_peer() -> None:
    about = {"failed": None, "reached": True, "work_seconds": 5, "version": "2", "tokens": 9, "best_bleu": 80, "lr": 1}
    rows = [
        {**about, "contender": "ours", "precision": "bf16", "wall_seconds": 10},
        {**about, "contender": "commit 4ac1864", "precision": "bf16", "wall_seconds": 15},
    ]
    case = plan.QUALITY_CASES[0]
    assert [line["ratio"] for line in quality.ratios(case, rows, ("ours", "commit 4ac1864"))] == [None, None]
    wall, work = quality.earlier(case, rows, ["commit 4ac1864"])
    assert wall["against"] == "commit 4ac1864 bf16" and wall["ratio"]["median"] == 1.5 and work["ratio"]["median"] == 1
    record = {"case": case.name, "model": "transformer", "bleu": 80, "text": "", "rows": rows, "ratios": [wall]}
    assert "| commit 4ac1864 2 | bf16 | 15.0 |" in report({"quality": [record]})
    assert "| commit 4ac1864 bf16 | 1.50× |" in report({"quality": [record]})
    assert "(commit 4ac1864 bf16)" in " ".join(terminal.table({"quality": [record]}).split())
