"""``torchrun -m seq2seq train``: the command of one process, in several; a rank killed, the launcher stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")

Options = list[str]
Host = tuple[str, str, str]


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    """A training of seconds, whose corpus is prepared once for all tests."""
    folder = tmp_path_factory.mktemp("torchrun")
    small = ["model.embedding=16", "model.encoder.width=16", "model.decoder.width=16", "model.dropout=0"]
    data = [
        "data.grammar.pairs=1500",
        "data.subwords.vocab_size=300",
        "data.take=1500",
        f"data.cache={folder / 'cache'}",
    ]
    trainer = ["trainer.max_steps=8", "trainer.valid_every=8", "trainer.valid_pairs=20", "trainer.log_every=1"]
    return [
        *("experiment=bahdanau", *small, *data, *trainer, f"outputs={folder}", "device=cpu", "decode.beam=1"),
        *("trainer.threads=1", "trainer.precision=fp32", "trainer.samples=0", "trainer.save_every=2"),
    ]


def outputs(options: Options) -> Path:
    return next(Path(option.partition("=")[2]) for option in options if option.startswith("outputs="))


def command(processes: int, *arguments: str) -> list[str]:
    if processes == 1:
        return [sys.executable, "-m", "seq2seq", "train", *arguments]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*launcher, *(a for a in arguments if a.startswith("--")), "-m", "seq2seq", "train"] + [
        argument for argument in arguments if not argument.startswith("--")
    ]


def train(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = command(processes, *arguments)
    return subprocess.run(told, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300, check=False)


def points(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clock = ("train/tokens_per_s", "train/seconds", "train/padding")
    return [{key: value for key, value in line.items() if key not in clock} for line in lines]


def assert_same(folder: Path, one: str, other: str) -> None:
    ours, theirs = points(folder / one), points(folder / other)
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    assert all(mine == pytest.approx(its, rel=1e-4, abs=1e-5) for mine, its in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_two_processes_give_the_run_of_one(options: Options) -> None:
    """The whole command: the same curves and test scores, told once."""
    folder = outputs(options)
    alone, two = train(1, *options, "name=one"), train(2, *options, "name=two")
    assert alone.returncode == two.returncode == 0, two.stderr
    assert_same(folder, "one", "two")
    assert two.stdout.count("BLEU signature") == 1
    tests = [json.loads((folder / name / "summary.json").read_text())["test"] for name in ("one", "two")]
    ours, theirs = ({k: v for k, v in test.items() if isinstance(v, float) and "second" not in k} for test in tests)
    assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
def test_a_mistake_is_answered_once(options: Options) -> None:
    wrong = train(2, *options, "trainer.max_step=8")
    assert wrong.returncode
    assert wrong.stderr.count("seq2seq: error:") == 1
    assert "trainer.max_steps" in wrong.stderr


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_the_run_ends_the_same(options: Options) -> None:
    """SIGKILL of either process; torchrun starts all anew, and they go on from the last checkpoint."""
    folder = outputs(options)
    longer = [*options, "trainer.max_steps=60", "trainer.valid_every=60"]
    assert train(1, *longer, "name=straight").returncode == 0
    for rank in (0, 1):
        name = f"killed-{rank}"
        told = command(2, "--max-restarts=2", *longer, f"name={name}")
        with subprocess.Popen(told, stderr=subprocess.PIPE, text=True, cwd=ROOT) as launcher:
            wait_for(lambda name=name: (folder / name / "checkpoints" / "last.safetensors").exists())
            os.kill(workers(launcher.pid)[rank], signal.SIGKILL)
            _, told_last = launcher.communicate(timeout=400)
        assert launcher.returncode == 0, told_last
        assert_same(folder, "straight", name)


@pytest.mark.slow
def test_a_stop_of_the_launcher_saves_and_the_same_command_goes_on(options: Options) -> None:
    """SIGTERM, as a batch queue gives it before the time is up."""
    folder = outputs(options)
    longer = [*options, "trainer.max_steps=60", "trainer.valid_every=60", "trainer.save_every=1000"]
    assert train(1, *longer, "name=whole").returncode == 0
    with subprocess.Popen(command(2, *longer, "name=stopped"), stderr=subprocess.PIPE, text=True, cwd=ROOT) as launcher:
        wait_for(lambda: (folder / "stopped" / "metrics.jsonl").exists() and len(points(folder / "stopped")) > 3)
        launcher.send_signal(signal.SIGTERM)
        _, told = launcher.communicate(timeout=60)
    assert "stopped and saved" in told
    assert (folder / "stopped" / "checkpoints" / "last.safetensors").exists()
    assert train(2, *longer, "name=stopped").returncode == 0
    assert_same(folder, "whole", "stopped")


def wait_for(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 200
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.05)


def workers(launcher: int) -> list[int]:
    """The processes that torchrun has started, by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            ranks = [int(value[5:]) for value in environment if value.startswith(b"RANK=")]
            if parent == launcher and ranks:
                found[ranks[0]] = int(folder.name)
    return [found[rank] for rank in sorted(found)]


@pytest.fixture
def two_hosts() -> Iterator[list[Host]]:
    """Two network namespaces with a cable between them: for each its name, its address and its network device."""
    hosts = [(f"s2s-{name}", f"10.77.0.{number}", f"s2s-eth-{name}") for number, name in enumerate("ab", start=1)]
    if not shutil.which("ip") or any(ip("netns", "add", name) for name, _, _ in hosts):
        pytest.skip("no network namespace can be made here")
    (one, _, first), (other, _, second) = hosts
    ip("link", "add", first, "netns", one, "type", "veth", "peer", "name", second, "netns", other)
    for name, address, device in hosts:
        ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
        ip("-n", name, "link", "set", device, "up")
        ip("-n", name, "link", "set", "lo", "up")
    yield hosts
    for name, _, _ in hosts:
        ip("netns", "del", name)


def ip(*arguments: str) -> int:
    return subprocess.run(["ip", *arguments], check=False, capture_output=True).returncode


@pytest.mark.slow
def test_two_hosts_train_one_model(options: Options, two_hosts: list[Host]) -> None:
    """The commands of docs/scaling.md."""
    assert train(1, *options, "name=here").returncode == 0
    started = [on_host(two_hosts, number, [*options, "name=hosts"]) for number in (0, 1)]
    assert [process.wait(timeout=200) for process in started] == [0, 0]
    assert_same(outputs(options), "here", "hosts")


def on_host(hosts: list[Host], number: int, arguments: Options, disk: str = "") -> subprocess.Popen[str]:
    """torchrun on one of the hosts; ``disk``: the script of a shell that ends by starting it, in folders of its own."""
    name, _, device = hosts[number]
    meeting = ["--nnodes=2", f"--node-rank={number}", f"--master-addr={hosts[0][1]}", "--master-port=29400"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1", *meeting, "-m", "seq2seq"]
    shell = ["sh", "-c", disk, "sh"] if disk else []
    told = ["ip", "netns", "exec", name, *shell, *torchrun, "train", *arguments]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": device}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(told, env=environment, cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload]


def own_disk(folder: Path, content: Path, listing: Path) -> str:
    """A disk in a ``folder`` that no other host sees: at first with a copy of ``content``, and listed at the end."""
    mounted = f"mount -t tmpfs none {folder} && cp -r {content}/. {folder}"
    return f'{mounted}; "$@"; code=$?; find {folder} -type f > {listing}; exit $code'


@pytest.mark.slow
def test_two_hosts_without_a_shared_disk(options: Options, two_hosts: list[Host], tmp_path: Path) -> None:
    """The second generates and prepares the corpus too, and nothing else lies there; the first alone can go on."""
    folder, listing = outputs(options), tmp_path / "listing"
    longer = [*options, "trainer.max_steps=60", "trainer.valid_every=60", "trainer.save_every=1000"]
    assert train(1, *longer, "name=together").returncode == 0
    (tmp_path / "empty").mkdir()
    disk = own_disk(folder, tmp_path / "empty", listing)
    for last in (False, True):
        first, second = (on_host(two_hosts, number, [*longer, "name=apart"], disk * number) for number in (0, 1))
        if not last:
            wait_for(lambda: (folder / "apart" / "metrics.jsonl").exists() and len(points(folder / "apart")) > 3)
            first.send_signal(signal.SIGTERM)
        told = [process.communicate(timeout=200)[1] for process in (first, second)]
        left = [Path(line).relative_to(folder) for line in listing.read_text().splitlines()]
        assert left and {path.parts[0] for path in left} == {"cache"}
        assert ("stopped and saved" in told[0]) != last, told
        assert "seq2seq: error:" not in told[1]
    assert (first.returncode, second.returncode) == (0, 0)
    assert_same(folder, "together", "apart")
    further = [*options, f"init={folder / 'apart'}", "name=further"]  # whose subwords the first alone has
    started = [on_host(two_hosts, number, further, disk * number) for number in (0, 1)]
    assert [process.communicate(timeout=200)[1].count("seq2seq: error:") for process in started] == [0, 0]
    assert [process.returncode for process in started] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({}, "train.en: no such file"),
        ({"train": 1}, ": other text than the leader's: give all machines the same text"),
    ],
)
def test_two_hosts_with_other_text(
    second: dict[str, int], said: str, options: Options, two_hosts: list[Host], tmp_path: Path
) -> None:
    """One line on the first host says what is wrong, and where."""
    folder, content = tmp_path / "text", tmp_path / "content"
    sides = {"en": "the cat {n} sees a dog", "de": "die Katze {n} sieht einen Hund"}
    for place, shift in ((folder, {}), (content, second)):
        place.mkdir()
        for split in ("train", "valid", "test") if place == folder or second else ():
            for side, line in sides.items():
                lines = [line.format(n=n + shift.get(split, 0)) for n in range(60)]
                (place / f"{split}.{side}").write_text("".join(f"{line}\n" for line in lines))
    data = [
        f"data.{split}.{side}={folder}/{split}.{end}"
        for split in ("train", "valid", "test")
        for side, end in (("src", "en"), ("tgt", "de"))
    ]
    mine = [option for option in options if not option.startswith(("data.", "outputs="))]
    data += [f"data.cache={folder}/cache", f"outputs={folder}/runs", "data.subwords.vocab_size=40"]
    data += ["data.subwords.byte_fallback=false"]
    disk = own_disk(folder, content, tmp_path / "listing")
    started = [on_host(two_hosts, n, [*mine, "data=text", *data, "name=text"], disk * n) for n in (0, 1)]
    told = [process.communicate(timeout=200)[1] for process in started]
    assert all(process.returncode for process in started)
    complaints = [[line for line in each.splitlines() if "seq2seq: error:" in line] for each in told]
    assert [len(each) for each in complaints] == [1, 0], "\n".join(told)
    assert "error: process 1 on " in complaints[0][0]
    assert said in complaints[0][0]
