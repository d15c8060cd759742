"""Every hostile input is answered: one line that names it, exit code 2, nothing half-written, in bounded time."""

from __future__ import annotations

import io
import os
import resource
import shlex
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.cli.main import main
from seq2seq.errors import UserError, one_line
from seq2seq.system.files import UNFINISHED
from tests.hostile.bilingual import bilingual
from tests.hostile.caches import RESUME, checkpoints, prepared
from tests.hostile.cases import Case
from tests.hostile.conftest import training
from tests.hostile.corpora import corpora
from tests.hostile.records import (
    FINISHED,
    REPORT,
    WRONG,
    configs,
    grid,
    load_with,
    measurements,
    options,
    records,
    scored,
    type_of,
)
from tests.hostile.texts import texts
from tests.processes import run_command

SECONDS = 20  # a case takes a tenth of one; two slow cores that are busy may need more
MEMORY = 400 << 10  # KiB that a case may add to the largest memory so far
CASES = [
    *corpora(),
    *bilingual(),
    *prepared(),
    *checkpoints(),
    *configs(),
    *records(),
    *scored(),
    *measurements(),
    *texts(),
]


class Hangs(BaseException):
    """A case took longer than ``SECONDS``."""


@contextmanager
def bounded() -> Iterator[None]:
    """A block that may take ``SECONDS`` and ``MEMORY``."""

    def stop(number: int, frame: object) -> None:
        raise Hangs(f"no answer within {SECONDS} s")

    before, start = signal.signal(signal.SIGALRM, stop), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start < MEMORY


def tree(folder: Path) -> dict[str, bytes]:
    """What lies in a folder; the cache of the library ``datasets`` is its own matter."""
    paths = (path for path in folder.rglob("*") if path.name != "cache" and "/cache/datasets" not in str(path))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


def page() -> object:
    """What ``seq2seq report`` does once everything is measured, but for the figures."""
    from seq2seq.report.data import data_of_runs
    from seq2seq.report.sections.assembly import page_of
    from seq2seq.runs.run import find
    from seq2seq.study.fairness import check_alike

    found = [find(Path("runs") / name)[0] for name in ("lstm", "bahdanau")]
    check_alike(found, anyway=False)
    return page_of(data_of_runs(found, "page", [2, 3]))


def arguments_of(door: Any) -> list[str]:
    if isinstance(door, list):
        return door
    lines = {RESUME: training("bahdanau", "name=cut"), FINISHED: training("bahdanau")}
    return lines.get(door) or shlex.split(door)


def parts_of(case: Case) -> tuple[str, ...]:
    """The parts of the world that the case needs: copies take longer than most cases."""
    if case.parts != ("cache", "runs"):
        return case.parts
    if callable(case.door):
        return () if case.name.startswith(("mine.yaml", "argument")) else ("runs/bahdanau",)
    if case.door == REPORT:
        return ("runs/lstm", "runs/bahdanau")
    words = arguments_of(case.door)
    named = tuple(dict.fromkeys("/".join(word.split("/")[:2]) for word in words if word.startswith("runs/")))
    return named if named and words[0] != "train" else case.parts


def called(function: Callable[[], object]) -> int:
    """Exit code and line of a function of the library, as ``main`` would give them."""
    try:
        function()
    except UserError as error:
        print(f"seq2seq: error: {one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


ALIKE = (
    *(f"{name}.json" for name in ("interventions", "extrapolation", "search", "cost", "forgetting")),
    *(f"prepared: {name}" for name in ("tgt.model", "train.tgt", "valid")),
)
"""Files that are read as others are, of which the ordinary suite has the cases."""


def param(case: Case) -> Any:
    pages = case.door == REPORT and not case.name.endswith((": text", "17 lines"))  # a page takes half a second
    slow = case.slow or pages or case.name.startswith(ALIKE) or case.name.endswith((" at align", " at an ensemble"))
    return pytest.param(case, id=case.name, marks=[pytest.mark.slow] * slow)


@pytest.fixture
def stdin(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A case's standard input, in a file without a name."""
    with tempfile.TemporaryFile() as file:
        file.write(case.stdin)
        file.seek(0)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        yield


@pytest.mark.usefixtures("stdin")
@pytest.mark.parametrize("case", [param(case) for case in CASES])
def test_it_is_answered(case: Case, place: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    folder = place(*parts_of(case))
    case.harm(folder)
    before = tree(folder)
    capfd.readouterr()
    with bounded():
        if case.door == REPORT:
            code = called(page)
        else:
            code = called(case.door) if callable(case.door) else main(arguments_of(case.door))
    said = capfd.readouterr().err
    check(case, code, said)
    after = tree(folder)
    assert not [path for path in after if path.endswith((UNFINISHED, ".incomplete"))]
    if case.code:
        assert sorted(after) == sorted(before)
        assert after == before


def check(case: Case, code: int, said: str) -> None:
    """The exit code, and the one line where it is 2."""
    assert code == case.code, said
    assert "Traceback" not in said
    if code:
        [line] = said.splitlines()
        assert line.startswith("seq2seq: error: ")
        assert len(line) < 1_000, "a line that can be read"
        assert line.isprintable()
        for part in case.says:
            assert part in line


SAMPLE = [
    *("stdin: not UTF-8", "verb: translate nothing", "hypothesis: a line less"),
    *("stdin: NUL", "subwords: src.model: cut", "config.yaml: cut as a file", "alignment: words"),
]


@pytest.mark.parametrize(
    "case", [param(replace(case, slow=case.name not in SAMPLE[:3])) for case in CASES if case.name in SAMPLE]
)
def test_a_process_answers_alike(case: Case, place: Callable[..., Path]) -> None:
    """A few cases as a shell starts them."""
    case.harm(place(*parts_of(case)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = run_command(*arguments_of(case.door), stdin=case.stdin, env=environment, timeout=60)
    check(case, done.returncode, done.stderr)


def answer_of(key: str, value: Any) -> str:
    """The line about an option's wrong value; empty where the value is taken."""
    try:
        with bounded():
            load_with(key, value)
    except UserError as error:
        line = one_line(str(error))
        assert key.split(".")[0] in line or "config.yaml" in line, (key, line[:300])
        assert len(line) < 1_000 and line.isprintable(), line[:300]
        return line
    return ""


TAKEN = {"int": (int,), "float": (int, float, bool), "bool": (bool, int, str), "str": (str, int, float, bool)}
TAKEN |= {"files": (str,), "list[str": (list,), "list[float": (list,), "dict[str, SplitConfig": (dict,)}
"""Python types of YAML values that an option of a type may accept, after OmegaConf's conversions."""


def try_option(key: str, name: str) -> None:
    value, (kind, optional) = WRONG[name], type_of(key)
    line = answer_of(key, value)
    if not line:
        assert kind, f"{key}: {name} is no section"
        assert name == "missing" or (value is None and optional) or isinstance(value, TAKEN[kind]), (
            f"{key} takes {name}"
        )


@pytest.mark.parametrize(
    ("key", "name"),
    [  # of the two values of an option one is in the ordinary suite: of one option the first, of the next the second
        pytest.param(*row, id="-".join(row), marks=[pytest.mark.slow] * (number % 2 != number // 2 % 2))
        for number, row in enumerate(grid(every=False))
    ],
)
def test_a_wrong_value_of_an_option_is_answered(key: str, name: str) -> None:
    try_option(key, name)


@pytest.mark.parametrize("key", [key for key in options() if type_of(key)[0] in ("files", "list[str", "list[float")])
@pytest.mark.parametrize("name", ["nested"])
def test_a_wrong_list_is_answered(key: str, name: str) -> None:
    try_option(key, name)


@pytest.mark.slow
@pytest.mark.parametrize(("key", "name"), [pytest.param(*row, id="-".join(row)) for row in grid(every=True)])
def test_every_wrong_value_of_every_option_is_answered(key: str, name: str) -> None:
    try_option(key, name)


def test_the_table_is_large_and_has_every_case_once() -> None:
    names = Counter(case.name for case in CASES)
    assert len(CASES) >= 300 and not [name for name, count in names.items() if count > 1]
    assert len(list(grid(every=False))) >= 200
