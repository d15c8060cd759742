"""The protocol, spoken by tiny workers in processes of their own."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from scripts.bench import environments, workers
from scripts.bench.plan import CONTENDERS
from scripts.bench.worker import Failed, Row, environment, start


def test_a_worker_works_in_slices(fake: Callable[..., Row]) -> None:
    row = fake()
    worker = start(row)
    assert row.about["version"] == "1.0" and row.about["parameters"] == 7 and row.about["notes"] == ["a note"]
    first = worker.ask({"seconds": 0.1}, 10)
    second = worker.ask({"seconds": 0.2}, 10)
    for answer, seconds in ((first, 0.1), (second, 0.2)):
        assert seconds <= answer["seconds"] < seconds + 0.1  # to the end of an update, no further
        assert answer["tokens"] == 5 * answer["updates"]
        assert answer["rss_mb"] > 1 and answer["cuda_mb"] is None
    assert 0 < first["first_update_seconds"] < 5 and "first_update_seconds" not in second
    worker.stop()
    assert worker.process.returncode == 0


def test_the_clock_stands_while_a_worker_waits(fake: Callable[..., Row]) -> None:
    worker = start(fake())
    assert worker.ask({"check": True}, 10)["check"]["own"] == 2.0  # before the first slice
    answer = worker.ask({"seconds": 0.05}, 10)
    assert worker.ask({"translate": [["a", "b"], []]}, 10) == {"translate": [["b", "a"], []]}
    assert answer["seconds"] < 0.15
    worker.stop()


def test_chatter_goes_to_the_log_and_never_into_the_protocol(fake: Callable[..., Row]) -> None:
    row = fake('import os\nos.system("echo from a child")\nchannel.ready("1", 1)\nchannel.begin()')
    worker = start(row)
    worker.stop()
    log = worker.log.read_text()
    assert "a framework's chatter" in log and "from a child" in log


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ('channel.fail("has no\\nsuch model")', "has no such model"),
        ('raise ValueError("of no use")', "ValueError: of no use"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
    ],
)
def test_a_worker_that_cannot_run_says_why(fake: Callable[..., Row], body: str, why: str) -> None:
    row = fake(body)
    with pytest.raises(Failed) as failed:
        start(row)
    assert why in str(failed.value) and row.failed == str(failed.value)


def test_a_handler_that_fails_does_not_end_the_worker(fake: Callable[..., Row]) -> None:
    worker = start(fake("channel.on('check', lambda _: 1 / 0)\nchannel.ready('1', 1)\nchannel.begin()"))
    assert "ZeroDivisionError" in worker.ask({"check": True}, 10)["error"]
    assert "no answer to translate" in worker.ask({"translate": []}, 10)["error"]
    worker.stop()


def test_a_framework_that_fetches_ahead_counts_updates_itself(fake: Callable[..., Row]) -> None:
    body = """
    channel.ready("1", 1)
    going = channel.begin()
    while going:
        time.sleep(0.01)
        going = channel.update(3)
    """
    worker = start(fake(body))
    answer = worker.ask({"seconds": 0.05}, 10)
    assert answer["tokens"] == 3 * answer["updates"]
    worker.stop()
    assert worker.process.returncode == 0


def test_the_end_of_the_orders_is_the_end_of_the_worker(fake: Callable[..., Row]) -> None:
    row = fake()
    (row.folder / "spec.json").write_text(json.dumps({}))
    command = [*row.command, str(row.folder / "spec.json")]
    options = {"input": "", "env": environment(1), "capture_output": True, "text": True, "timeout": 20}
    done = subprocess.run(command, check=False, **options)
    assert done.returncode == 0
    assert [json.loads(line)["ready"] for line in done.stdout.splitlines()] == [True]


def imported(nodes: Collection[ast.AST]) -> set[str]:
    modules = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return modules | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


PEERS = ("__init__", "protocol", "contender", *(name for name in CONTENDERS if name not in environments.OWN))


@pytest.mark.parametrize("module", PEERS)
def test_a_module_that_other_interpreters_load_needs_nothing_of_ours(module: str) -> None:
    tree = ast.parse((Path(workers.__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    shared = {"scripts.bench.workers.protocol", "scripts.bench.workers.contender"}
    assert not [name for name in imported([*ast.walk(tree)]) - shared if name.split(".")[0] in ("scripts", "seq2seq")]
    assert {name.split(".")[0] for name in imported(tree.body) - shared} <= sys.stdlib_module_names
