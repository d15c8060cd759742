"""The other parts' arithmetic and rules, without any contender: growth, quality, parallel runs, environments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.bench import __main__ as bench
from scripts.bench import contention, corpus, environments, machine, plan
from scripts.bench.contention import Contention
from scripts.bench.context import Bench
from scripts.bench.parts import parallel, peak, quality, scaling, startup
from scripts.bench.report import terminal
from scripts.bench.report.results import left_out, load
from scripts.bench.report.write import write
from scripts.bench.worker import Failed, Row, start
from scripts.bench.workers.flops import update_flops
from seq2seq.system import devices
from seq2seq.system.files import write_json


def test_the_command_line_names_parts_and_contenders(capsys: pytest.CaptureFixture[str]) -> None:
    options = bench.arguments(["quick", "--only", "train,decode", "--contenders", "ours,tutorial"])
    assert options.only == ("train", "decode") and options.contenders == ("ours", "tutorial")
    with pytest.raises(SystemExit):
        bench.arguments(["--only", "trian"])
    assert "trian: there are machine, train" in capsys.readouterr().err


def test_what_workers_leave_does_not_lie_beside_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard reads all of outputs/: it would show their throw-away runs among the user's."""

    def measure(asked: Bench) -> list[Any]:
        (asked.scratch / "workers" / "run" / "tensorboard").mkdir(parents=True)
        return []

    monkeypatch.setattr(corpus, "CACHE", tmp_path / "cache")
    monkeypatch.setitem(bench.MEASURES, "startup", measure)
    monkeypatch.setattr(sys, "argv", ["bench", "quick", "--only", "startup", "--out", str(tmp_path / "out")])
    assert bench.main() == 0
    assert all(path.name.startswith("bench.") for path in (tmp_path / "out" / "quick").iterdir())
    assert next((tmp_path / "cache").rglob("tensorboard"))


def test_what_is_kept_says_when_it_was_measured_and_is_of_the_same_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["bench", "quick", "--keep", "--only", "startup", "--out", str(tmp_path)]
    monkeypatch.setitem(bench.MEASURES, "startup", lambda _: [])
    about = machine.about("cpu", machine.cores())
    old = {"date": "2001-02-03", "command": "python -m scripts.bench old", "commit": "abc"}
    for processor, code in (("Abacus 3000", 2), (about["processor"], 0)):
        record = {"case": "lstm", "failed": "no luck", "measured": old}
        kept = {"about": {**about, "processor": processor, "variant": "quick"}, "profile": [record]}
        write(kept, tmp_path / "quick")
        monkeypatch.setattr(sys, "argv", line)
        assert bench.main() == code
    assert "measured with other processor" in capsys.readouterr().err
    line = "- profile: 2001-02-03, commit abc, `python -m scripts.bench old` (lstm)"
    assert line in (tmp_path / "quick/bench.md").read_text().splitlines()


def test_a_record_replaces_its_own_kind_alone_and_a_part_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Time to quality of one case must not erase that of another, which took a quarter of an hour."""

    def quality_of(asked: Bench) -> Any:
        with pytest.raises(Failed):
            asked.command("joeynmt")
        for case in asked.cases:
            yield {"case": case, "rows": [], "bleu": 80, "text": "", "ratios": [{"what": len(asked.only)}]}

    def breaks(asked: Bench) -> Any:
        yield {"case": "lstm", "failed": "no luck"}
        raise Failed("out of luck")

    monkeypatch.setitem(bench.MEASURES, "quality", quality_of)
    monkeypatch.setitem(bench.MEASURES, "profile", breaks)
    monkeypatch.setattr(bench, "write", lambda results, out: write_json(out / "bench.json", results))
    monkeypatch.setattr(terminal, "table", lambda results: "\n".join(left_out(results)))
    out = tmp_path / "quick"

    def run(*line: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["bench", "quick", "--keep", "--out", str(tmp_path), *line])
        return bench.main()

    assert run("--only", "quality", "--cases", "one,two", "--contenders", "ours") == 0
    assert run("--only", "quality", "--cases", "two,three", "--contenders", "ours,eole") == 0
    found = load(out)["quality"]
    assert [(record["case"], record["ratios"][0]["what"]) for record in found] == [("one", 1), ("two", 2), ("three", 2)]
    assert run("--only", "profile,quality", "--cases", "four", "--contenders", "ours") == 1
    assert [record["case"] for record in load(out)["quality"]] == ["one", "two", "three", "four"]
    said = capsys.readouterr().out.splitlines()
    assert "profile: out of luck" in said
    assert "JoeyNMT (quality): not asked for (--contenders)" in said  # though one of the cases is kept
    monkeypatch.setitem(bench.MEASURES, "profile", lambda _: [])
    assert run("--only", "profile") == 0


def test_quick_has_every_model_and_every_contender() -> None:
    everybody = {name for case in plan.TRAIN_CASES for name in case.contenders} | {"ctranslate2"}
    assert everybody == set(plan.CONTENDERS)
    assert {case.model for case in plan.TRAIN_CASES} == {"transformer", "bahdanau", "lstm"}
    assert plan.QUICK.left_out == ("quality", "memory") and plan.FULL.scaling_pairs[-1] == 10_000_000
    assert plan.QUICK.rounds >= 3 and plan.FULL.rounds >= 3
    for variant in plan.PLANS.values():
        for case in plan.TRAIN_CASES:
            assert variant.precisions_of("ours", "train", case.name)[0] == "auto"
            assert all("fp32" in variant.precisions_of(peer, "train", case.name) for peer in case.contenders[1:])
            # Ours in bf16 beside them in float32 would be unfair.
            fast = {"tutorial", "marian", "eole"} & set(case.contenders)
            assert all("bf16" in variant.precisions_of(peer, "train", case.name) for peer in fast)
    assert plan.FULL.precisions_of("eole", "train", "lstm") == ("fp32", "bf16")
    assert plan.QUICK.precisions_of("ours", "decode", "transformer-256") == ("auto", "fp32")


def on_a_cpu(
    variant: plan.Plan, instructions: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Bench, corpus.Text]:
    """A bench and a text on a CPU with instructions for bf16, or without."""
    monkeypatch.setattr(devices, "multiplies_bf16", lambda device: instructions)
    monkeypatch.setattr(environments, "interpreter", lambda contender: sys.executable)
    return Bench(variant, "cpu", 1, folder), corpus.Text("text", folder, [], {"pieces": 8})


@pytest.mark.parametrize("instructions", [True, False])
def test_quick_decodes_peers_in_what_the_device_multiplies_fastest(
    instructions: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer in float32 beside ours in bf16 would make ours look twice as good as it is."""
    context, text = on_a_cpu(plan.QUICK, instructions, tmp_path, monkeypatch)
    rows = list(context.rows(plan.TRAIN_CASES[0], text, "decode", plan.CONTENDERS, decode={"beam": 1}))
    asked = {row.contender: row.precision for row in rows if row.contender != "ours"}
    native = "bf16" if instructions else "fp32"
    assert {asked[peer] for peer in ("tutorial", "marian", "eole")} == {native}
    assert asked["joeynmt"] == asked["ctranslate2"] == "fp32"  # it has no other on a CPU; it is compared with in this


@pytest.mark.parametrize("instructions", [True, False])
def test_bf16_is_measured_only_where_the_device_multiplies_it(
    instructions: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated it takes hundreds of times as long: the bench would not end."""
    context, text = on_a_cpu(plan.FULL, instructions, tmp_path, monkeypatch)
    rows = list(context.rows(plan.TRAIN_CASES[0], text, "train", ("ours", "tutorial")))
    asked = [(row.contender, row.precision) for row in rows]
    fast = {"ours": ["auto", "fp32", "bf16"], "tutorial": ["fp32", "bf16"]}
    assert asked == [(who, how) for who, hows in fast.items() for how in hows if instructions or how != "bf16"]
    assert context.missing == ({} if instructions else {"bf16": "this device only emulates it"})
    monkeypatch.setattr(peak, "giga", lambda shape, dtype, device: float(shape[0]))
    (found,) = peak.measure(context)
    assert found["peak"] == dict.fromkeys(("fp32", "bf16") if instructions else ("fp32",), 2048.0)


def test_an_exponent_is_the_slope_of_the_logarithms() -> None:
    assert scaling.slope([[10, 3.0], [20, 6.0], [200, 60.0]]) == pytest.approx(1.0)
    assert scaling.slope([[10, 1.0], [100, 100.0]]) == pytest.approx(2.0)


def test_flat_is_within_five_per_cent_of_the_smallest() -> None:
    small = {"pairs": 10_000, "sum_us": 100.0, "pipeline_us": 2.0, "private_mb": 20.0}
    large = {"pairs": 10_000_000, "sum_us": 104.0, "pipeline_us": 4.0, "private_mb": 900.0}
    cost, pipeline, memory = scaling.flatness([small, large])
    assert cost["reached"] is True and cost["ratio"]["median"] == pytest.approx(1.04)
    assert pipeline["target"] is None
    assert memory["reached"] is False


def test_runs_at_once_are_summed(fake: Callable[..., Row]) -> None:
    ready = [start(fake(contender=str(n), sleep=0.02)) for n in range(3)]
    try:
        alone, together = parallel.turns(ready[:1], ready[1:], 2, 0.2)
    finally:
        for worker in ready:
            worker.stop()
    assert len(alone) == len(together) == 2
    assert sum(together) == pytest.approx(2 * sum(alone), rel=0.3)


LEARNS = """
right = ["▁the", "▁same", "▁four", "▁word", "s"]
channel.on("translate", lambda lines: [right if channel.tokens > 150 else ["▁a"] for _ in lines])
channel.ready("1", 1)
for batch in channel.batches(itertools.repeat(5), lambda batch: batch):
    time.sleep(0.01)
"""


def trial(folder: Path, monkeypatch: pytest.MonkeyPatch, **rules: Any) -> None:
    (folder / "valid.tokens.src").write_text("▁a ▁b\n▁c\n", encoding="utf-8")
    (folder / "valid.tgt").write_text("the same four words\nthe same four words\n", encoding="utf-8")
    monkeypatch.setattr(quality, "FIRST_SLICE", 0.05)
    monkeypatch.setattr(plan, "QUALITY", replace(plan.QUALITY, valid_every_tokens=50, **rules))


def test_quality_waits_until_the_mark(
    fake: Callable[..., Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial(tmp_path, monkeypatch, max_tokens=100_000, cap_seconds=20)
    found = quality.until(fake(LEARNS), tmp_path)
    assert found["failed"] is None and found["reached"] is True
    assert found["best_bleu"] == pytest.approx(100) and 150 < found["tokens"] < 300
    assert found["work_seconds"] <= found["wall_seconds"]


def test_a_peer_that_learns_nothing_is_cut_short(
    fake: Callable[..., Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial(tmp_path, monkeypatch, max_tokens=100_000, cap_seconds=0.3)
    found = quality.until(fake(LEARNS.replace("150", "10**9")), tmp_path)
    assert found["reached"] is False and found["failed"] is None and found["best_bleu"] < 1
    ours = {"contender": "ours", "failed": None, "reached": True, "wall_seconds": 0.1, "work_seconds": 0.1}
    line = quality.ratios(plan.QUALITY_CASES[0], [ours, found])[0]
    assert "at least" in line["against"] and line["ratio"]["median"] >= 3


def test_each_clock_has_its_own_best_peer() -> None:
    """A decoder without a cache is slow to validate and may be fast to train."""

    def row(contender: str, wall: float, work: float, reached: bool = True) -> dict[str, Any]:
        about = {"contender": contender, "precision": "fp32", "failed": None, "reached": reached}
        return {**about, "wall_seconds": wall, "work_seconds": work}

    peers = [row("eole", 30, 25), row("tutorial", 40, 20), row("marian", 1, 1, reached=False)]
    case = plan.QUALITY_CASES[0]
    wall, work = quality.ratios(case, [row("ours", 10, 10), *peers])
    assert (wall["against"], wall["ratio"]["median"], wall["reached"]) == ("eole fp32", 3.0, True)
    assert (work["against"], work["ratio"]["median"]) == ("tutorial fp32", 2.0)
    assert quality.ratios(case, [row("ours", 10, 10, reached=False), *peers])[0]["reached"] is False


@pytest.mark.parametrize(("reaches", "tried"), [(0.5, [1.0, 0.5]), (0.0, [1.0, 0.5, 0.25])])
def test_a_peer_that_does_not_reach_the_mark_gets_its_best_of_a_few_rates(
    reaches: float, tried: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half learnt at a rate that does not suit it would make ours look better than it is."""
    context, text = on_a_cpu(plan.FULL, True, tmp_path, monkeypatch)
    case = plan.QUALITY_CASES[0]
    asked: list[float] = []

    def until(row: Row, data: Path) -> dict[str, Any]:
        asked.append(row.spec["lr"] / case.lr)
        reached = asked[-1] == reaches
        return {"failed": None, "reached": reached, "best_bleu": 60 + asked[-1], "wall_seconds": 9.0, "tokens": 9}

    monkeypatch.setattr(quality, "until", until)
    best = quality.best_rate(context, case, text, "marian")
    assert asked == pytest.approx(tried)
    assert best is not None and best["lr"] == pytest.approx(case.lr * (reaches or 1.0))


def test_an_environment_that_cannot_be_made_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    with pytest.raises(environments.NotInstalled, match=r"no .*nobody"):
        environments.interpreter("nobody", tmp_path / "environments")
    (tmp_path / "peer.txt").write_text("no-such-package\n", encoding="utf-8")
    python = tmp_path / "python"
    makes = 'if [ "$2" = venv ]; then mkdir -p "$4/bin" && exec cp "$0" "$4/bin/python"; fi'
    fails = "echo looking\necho ERROR: no matching distribution >&2\nexit 1"
    python.write_text(f"#!/bin/sh\n{makes}\n{fails}\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(environments.NotInstalled, match=r"^ERROR: no matching distribution$"):
        environments.interpreter("peer", tmp_path / "environments")
    made = tmp_path / "environments" / "peer"
    assert (made / "bin" / "python").exists() and not (made / "installed").exists()


def test_an_environment_is_kept_until_its_requirements_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    made: list[Any] = []

    def run(command: list[str]) -> None:
        made.append(command)
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True, exist_ok=True)
            (Path(command[-1]) / "bin" / "python").touch()

    monkeypatch.setattr(environments, "run", run)
    (tmp_path / "peer.txt").write_text("one\n", encoding="utf-8")
    python = environments.interpreter("peer", tmp_path / "root")
    assert made[0][1:4] == ["-m", "venv", "--clear"] and "-c" in made[1]
    assert environments.interpreter("peer", tmp_path / "root") == python and len(made) == 2
    (tmp_path / "peer.no-deps.txt").write_text("two\n", encoding="utf-8")
    environments.interpreter("peer", tmp_path / "root")
    assert "--clear" in made[2] and "--no-deps" in made[-1] and len(made) == 5  # nothing of the old one is left
    python.unlink()
    environments.interpreter("peer", tmp_path / "root")
    assert len(made) == 8


def test_the_operations_of_a_transformer_layer_by_hand() -> None:
    size = {"embedding": 8, "width": 8, "layers": 1, "heads": 2, "feed_forward": 16}
    spec = {"model": "transformer", "size": size, "vocabulary": 10}
    s, t = 3, 4
    encoder = s * (4 * 64 + 2 * 128) + 2 * s * s * 8
    decoder = t * (4 * 64 + 2 * 64 + 2 * 128) + 2 * t * t * 8 + s * 2 * 64 + 2 * t * s * 8
    assert update_flops(spec, (2, s), (2, t), 7) == 6 * (2 * (encoder + decoder) + 7 * 8 * 10)


def test_looking_back_costs_products_too() -> None:
    size = {"embedding": 8, "encoder": 8, "decoder": 16, "attention": 8}
    plain = {"size": size, "vocabulary": 10}
    costs = [update_flops({**plain, "model": m}, (2, 5), (2, 6), 9) for m in ("lstm", "bahdanau")]
    assert 0 < costs[0] < costs[1]


def test_the_machine_has_a_name_and_a_peak() -> None:
    import torch

    assert machine.processor() and machine.cores() >= 1
    assert peak.giga((64, 64, 64), torch.float32, "cpu", seconds=0.02) > 0
    assert machine.about("cpu", 2)["threads"] == 2


def test_a_command_that_fails_early_is_not_fast() -> None:
    assert set(startup.commands()) == set(startup.EXPECTED)
    assert startup.timed("bare python", [sys.executable, "-c", "pass"]) > 0
    with pytest.raises(Failed, match="exit code 1"):
        startup.timed("seq2seq --help", [sys.executable, "-c", "1 / 0"])


def test_only_the_cores_that_we_may_use_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a large machine whose other cores are busy nothing is taken of ours."""
    lines = ["cpu  900 0 0 100 0 0 0 0 0 0", "cpu0 100 0 50 900 7 0 0 5 0 0", "cpu1 800 0 0 9 0 0 0 0 0 0", "intr 1"]
    monkeypatch.setattr(Path, "read_text", lambda self, *_: "\n".join(lines))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    assert contention.busy_seconds() == pytest.approx(1.55)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert contention.busy_seconds() == pytest.approx(9.55)


def test_what_others_take_of_the_machine_is_seen(fake: Callable[..., Row]) -> None:
    worker = start(fake("channel.ready('1', 1)\nwhile channel.begin() and channel.update(1):\n    sum(range(10000))"))
    own, nobody = Contention([worker]), Contention([])
    before = contention.used_seconds(worker.process.pid)
    worker.ask({"seconds": 1.5}, 20)
    assert contention.used_seconds(worker.process.pid) - before > 0.2
    assert (own.share() or 0.0) < (nobody.share() or 0.0)
    worker.stop()
