"""The driver: what is there is kept, what is damaged or out of date is made again, and nothing is left half."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.analysis import measurements
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.analysis.measurements import MEASUREMENTS, Measurement, main, measure_all, missing
from seq2seq.config.schema import Config, DataConfig, DecodeConfig, ModelConfig, SplitConfig, TrainerConfig
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import evaluate
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.loading import save_split
from seq2seq.runs.run import Run
from seq2seq.system.files import write_atomically

Pairs = list[tuple[str, str]]
Finish = Callable[..., Run]


@pytest.fixture
def finish(
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    pairs: Pairs,
    tmp_path: Path,
) -> Finish:
    """``finish(name, seed=1)``: a run folder as an (untrained) run leaves it, on files beside it."""
    splits = {"train": pairs[:20], "valid": pairs[20:25], "test": pairs[25:]}

    def run_of(name: str, seed: int = 1) -> Run:
        run, given = Run(tmp_path / name), {}
        for split, chosen in splits.items():
            files = [tmp_path / f"{split}.{side}" for side in ("src", "tgt")]
            for side, file in enumerate(files):
                file.write_text("".join(f"{pair[side]}\n" for pair in chosen))
            given[split] = SplitConfig(src=str(files[0]), tgt=str(files[1]))
        decode = DecodeConfig(beam=2, max_ratio=1.0, max_extra=2)
        data, trainer = DataConfig(source="text", **given), TrainerConfig(max_steps=1, precision="fp32")
        run.save_config(Config(data=data, model=tiny_models[name], trainer=trainer, decode=decode))
        tiny_subwords.save(run.subwords)
        model = build_tiny(name, seed=seed, vocab=320)
        checkpoint.save_weights(run.checkpoint("best"), checkpoint.weights_of(model), {})
        src, references = ([pair[side] for pair in splits["test"]] for side in (0, 1))
        translator = Translator([model], tiny_subwords, torch.device("cpu"))
        evaluate(translator, src, references, "de", decode).save(run.evaluation("test"))
        for side, lines in (("src", src), ("ref", references)):
            write_atomically(run.evaluation("test") / f"{side}.txt", "".join(f"{line}\n" for line in lines))
        run.save_summary({})
        return run

    return run_of


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measurements that only say that they were made."""
    made: list[str] = []

    def fake(name: str) -> Callable[..., dict[str, Any]]:
        def measure(run: LoadedRun) -> dict[str, Any]:
            made.append(name)
            return {"sentences": len(run.src), "links": run.links and [sorted(pair) for pair in run.links]}

        return measure

    for name in MEASUREMENTS:
        monkeypatch.setitem(MEASUREMENTS, name, Measurement(name, fake(name)))
    return made


@pytest.mark.parametrize("name", ["lstm", "bahdanau", "transformer", "hybrid"])
def test_everything_is_measured_on_every_architecture(
    finish: Finish, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements.cost, "LENGTHS", (1, 2))
    run, told = finish(name), []
    measure_all(run.folder, done=lambda measured, seconds: told.append(measured), corpus=True)
    assert told == list(MEASUREMENTS)
    assert missing(run) == []
    for name_ in MEASUREMENTS:
        found = MEASUREMENTS[name_].load(run)
        assert found["version"] == measurements.VERSION and len(found) > 2, name_
    rows = MEASUREMENTS["interventions"].load(run)["rows"]
    assert rows[0]["attention"] == "trained" and len(rows) == (1 if name == "lstm" else 4)


def test_what_is_there_is_not_measured_again(finish: Finish, counted: list[str]) -> None:
    run = finish("lstm")
    assert missing(run) == list(MEASUREMENTS)
    measure_all(run.folder, only=["probe", "cost"], corpus=True)
    assert counted == ["probe", "cost"]
    assert missing(run) == [name for name in MEASUREMENTS if name not in counted]
    told: dict[str, float] = {}
    measure_all(run.folder, done=told.__setitem__, corpus=True)
    assert sorted(counted) == sorted(MEASUREMENTS) and list(told) == list(MEASUREMENTS)
    assert [name for name, seconds in told.items() if seconds == 0] == ["probe", "cost"]
    before = {path: path.stat().st_mtime_ns for path in (run.folder / "measurements").iterdir()}
    measure_all(run.folder, corpus=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(counted) == len(MEASUREMENTS)


def test_without_its_corpus_a_run_is_measured_but_for_what_needs_the_training_text(
    finish: Finish, pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements.cost, "LENGTHS", (1, 2))
    run = finish("bahdanau")
    save_split(run, "valid", *([pair[side] for pair in pairs[20:25]] for side in (0, 1)))
    for file in [*tmp_path.glob("*.src"), *tmp_path.glob("*.tgt")]:
        file.unlink()
    with pytest.raises(UserError, match="--corpus"):
        measure_all(run.folder)
    assert missing(run) == ["probe"]


@pytest.mark.parametrize("damage", ["", '{"version": 1, "or', "[1, 2]", "\x00\x01", "null"])
def test_a_damaged_measurement_is_made_again(finish: Finish, counted: list[str], damage: str) -> None:
    run = finish("lstm")
    measure_all(run.folder, corpus=True)
    whole = MEASUREMENTS["probe"].file(run).read_text()
    MEASUREMENTS["probe"].file(run).write_text(damage)
    assert missing(run) == ["probe"]
    measure_all(run.folder, corpus=True)
    assert MEASUREMENTS["probe"].file(run).read_text() == whole
    assert counted.count("probe") == 2 and counted.count("cost") == 1


def test_a_run_that_was_trained_again_is_measured_again(finish: Finish, counted: list[str], tmp_path: Path) -> None:
    run = finish("lstm")
    measure_all(run.folder, corpus=True)
    assert missing(Run(Path(shutil.copytree(run.folder, tmp_path / "moved")))) == []
    assert missing(finish("lstm", seed=2)) == list(MEASUREMENTS)
    measure_all(run.folder, corpus=True)
    assert len(counted) == 2 * len(MEASUREMENTS)


def test_other_references_or_another_version_are_measured_again(
    finish: Finish, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish("lstm")
    measure_all(run.folder, corpus=True)
    file = run.evaluation("test") / "ref.txt"
    text = file.read_text()
    file.write_text(text.replace("die", "den"))
    assert missing(run) == list(MEASUREMENTS)
    file.write_text(text)
    assert missing(run) == []
    monkeypatch.setattr(measurements, "VERSION", measurements.VERSION + 1)
    assert missing(run) == list(MEASUREMENTS)


def test_links_are_for_forgetting_alone(finish: Finish, counted: list[str], tmp_path: Path) -> None:
    run, links = finish("lstm"), tmp_path / "links"
    measure_all(run.folder, corpus=True)
    links.write_text("0-0 1-1\n" * 15)
    assert missing(run, links) == ["forgetting"]
    measure_all(run.folder, links=links, corpus=True)
    assert MEASUREMENTS["forgetting"].load(run)["links"] == [[[0, 0], [1, 1]]] * 15
    links.write_text("0-0 1-2\n" * 15)
    assert missing(run, links) == ["forgetting"]
    links.write_text("0-0 99-2\n" * 15)
    with pytest.raises(UserError, match="links:1: 99-2 points beyond"):
        measure_all(run.folder, links=links, corpus=True)


def test_an_error_leaves_the_others_as_they_are(
    finish: Finish, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish("lstm")

    def full(*_: object) -> None:
        raise UserError("the disk is full")

    monkeypatch.setattr(measurements, "write_atomically", full)
    with pytest.raises(UserError):
        measure_all(run.folder, corpus=True)
    assert not (run.folder / "measurements").exists() or not list((run.folder / "measurements").iterdir())


# ---------------------------------------------------------------------------------------------------- the process


def test_it_says_how_far_it_is(finish: Finish, counted: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(finish("lstm").folder), "--corpus", "--only", "probe,cost"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in out] == [["50%", "probe"], ["100%", "cost"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "prob"], "unknown measurement 'prob' (there are: interventions, "),
        (["--links", "nowhere"], "nowhere: no such file"),
    ],
)
def test_a_users_mistake_is_one_line(
    finish: Finish, counted: list[str], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(finish("lstm").folder), "--corpus", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"seq2seq: error: {said}") and error.count("\n") == 1


def test_a_run_that_is_not_finished_is_one_line(finish: Finish, capsys: pytest.CaptureFixture[str]) -> None:
    run = finish("lstm")
    run.summary_file.unlink()
    assert main([str(run.folder), "--corpus"]) == 2
    assert "not finished" in capsys.readouterr().err
    assert main([str(run.folder / "nothing")]) == 2
    assert "no run folder" in capsys.readouterr().err
    assert not (run.folder / "measurements").exists()


def test_ctrl_c_is_no_traceback(finish: Finish, counted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(run: LoadedRun) -> dict[str, Any]:
        raise KeyboardInterrupt

    run = finish("lstm")
    monkeypatch.setitem(MEASUREMENTS, "probe", Measurement("probe", stopped))
    assert main([str(run.folder), "--corpus"]) == 130
    assert missing(run)[0] == "probe" and "interventions" not in missing(run)


def test_killed_while_it_writes_it_leaves_whole_files_and_the_next_one_goes_on(
    finish: Finish, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, written = finish("bahdanau"), []
    child = os.fork()
    if child == 0:  # in the middle of writing the third measurement

        def kill(descriptor: int) -> None:
            written.append(descriptor)
            if len(written) == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(os, "fsync", kill)
        try:
            measure_all(run.folder, corpus=True)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    there = list(MEASUREMENTS)[:2]
    assert missing(run) == list(MEASUREMENTS)[2:]
    assert sorted(path.stem for path in (run.folder / "measurements").glob("*.json")) == sorted(there)
    measure_all(run.folder, corpus=True)
    assert missing(run) == [] and counted == list(MEASUREMENTS)[2:]
