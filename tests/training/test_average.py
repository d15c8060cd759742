"""The checkpoints that ``trainer.keep`` keeps, and ``seq2seq average``, which writes their mean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from seq2seq.cli.main import main
from seq2seq.config.schema import Config
from seq2seq.runs import averaging, checkpoint
from seq2seq.runs.run import Run
from seq2seq.training import session
from seq2seq.training.trainer import Trainer
from seq2seq.training.validation import Validation

MakeConfig = Callable[..., Config]
VALUES = [3.0, 9.0, 1.0, 8.0, 2.0, 2.5]
"""BLEU of the validations after 1, 2, … updates."""


@pytest.fixture(scope="module")
def config(toy_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Config:
    made = toy_config("lstm", max_steps=6, valid_every=1, save_every=1, keep=2, lr=0.01, warmup_steps=1)
    return replace(made, outputs=str(tmp_path_factory.mktemp("kept")), name="run")


@pytest.fixture(scope="module")
def kept(config: Config) -> Run:
    """A run whose second and fourth validations are the best."""
    with pytest.MonkeyPatch.context() as patched:
        _prescribe(patched)
        return session.train(config)


def _prescribe(patched: pytest.MonkeyPatch) -> None:
    """Make the validations' BLEU ``VALUES``, in the curve too."""
    from seq2seq.training import validation

    evaluate = validation.evaluate_together

    def prescribed(translator: Any, *texts: Any, **options: Any) -> Any:
        found = evaluate(translator, *texts, **options)
        if prescribed.state is not None:
            found.scores["bleu"] = VALUES[prescribed.state.step - 1]
        return found

    validate = Validation.validate

    def remember(self: Validation, state: Any, *rest: Any) -> Any:
        prescribed.state = state
        return validate(self, state, *rest)

    prescribed.state = None  # type: ignore[attr-defined]
    patched.setattr(validation, "evaluate_together", prescribed)
    patched.setattr(Validation, "validate", remember)


def names(run: Run) -> list[str]:
    return sorted(path.stem for path in (run.folder / "checkpoints").glob("step-*"))


def test_the_last_and_the_best_are_kept(kept: Run) -> None:
    assert names(kept) == ["step-2", "step-4", "step-5", "step-6"]


def test_a_validation_that_was_not_finite_is_the_last(kept: Run, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(kept.folder, tmp_path / "run")))
    steps = sorted(int(name.removeprefix("step-")) for name in names(run) if name.startswith("step-"))
    points = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    for point in points:
        if point["step"] == steps[-1] and "valid/bleu" in point:
            point["valid/bleu"] = None  # as NaN is written
    run.metrics_file.write_text("".join(json.dumps(point) + "\n" for point in points))
    assert averaging.best(run, 1) == [run.checkpoint(f"step-{steps[0]}")]


def test_a_kill_changes_nothing(config: Config, kept: Run, monkeypatch: Any) -> None:
    def die_at_four(trainer: Trainer) -> None:
        if trainer.state.step == 4:
            raise SystemExit(9)

    config = replace(config, name="killed")
    with monkeypatch.context() as patched:
        _prescribe(patched)
        with monkeypatch.context() as fault, pytest.raises(SystemExit):
            fault.setattr(Trainer, "_log_training", die_at_four)
            session.train(config)
        run = session.train(config)
    assert names(run) == names(kept)
    for name in names(run):
        one, other = (load_file(each.checkpoint(name)) for each in (run, kept))
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("arguments", "expected", "steps"),
    [
        (["--last", "2"], "average-last2", (5, 6)),
        (["--best", "2"], "average-best2", (2, 4)),
        (["--best", "3"], "average-best3", (2, 4, 6)),
    ],
)
def test_the_mean_of_the_run_s_own(kept: Run, arguments: list[str], expected: str, steps: tuple[int, ...]) -> None:
    assert main(["average", str(kept.folder), *arguments]) == 0
    mean = load_file(kept.checkpoint(expected))
    parts = [load_file(kept.checkpoint(f"step-{step}")) for step in steps]
    assert mean.keys() == parts[0].keys()
    for key in mean:
        torch.testing.assert_close(mean[key], torch.stack([part[key].double() for part in parts]).mean(0).float())
    assert main(["translate", str(kept.checkpoint(expected)), "--in", str(_text(kept))]) == 0


def _text(run: Run) -> Path:
    path = run.folder.parent / "text.en"
    path.write_text("the dog sees the cat\n")
    return path


def test_the_mean_of_files(kept: Run, tmp_path: Path, capsys: Any) -> None:
    files = [str(kept.checkpoint(name)) for name in ("step-2", "best")]
    assert main(["average", *files, "--out", str(tmp_path / "mean.safetensors")]) == 0
    assert main(["average", *files]) == 0
    assert kept.checkpoint("average-of-2").exists()
    mean, one = load_file(tmp_path / "mean.safetensors"), load_file(files[0])
    assert all(torch.equal(mean[key], one[key]) for key in mean), "best is step 2"
    assert "next:  seq2seq evaluate" in capsys.readouterr().out


def test_of_two_trainings_a_mean_is_doubted(kept: Run, tmp_path: Path, capsys: Any) -> None:
    """It may be wanted, of two that began from one; else it is noise, and nothing about the file would tell."""
    other = Run(Path(shutil.copytree(kept.folder, tmp_path / "other")))
    files = [str(run.checkpoint("best")) for run in (kept, other)]
    assert main(["average", *files, "--out", str(tmp_path / "mean.safetensors")]) == 0
    assert "several trainings" in capsys.readouterr().err
    assert main(["average", files[1], files[1], "--out", str(tmp_path / "one.safetensors")]) == 0
    assert capsys.readouterr().err == ""


def test_an_earlier_mean_of_others_is_not_replaced(kept: Run, tmp_path: Path, capsys: Any) -> None:
    run = Run(Path(shutil.copytree(kept.folder, tmp_path / "run")))
    mean = run.checkpoint("average-of-2")
    mean.unlink(missing_ok=True)
    first, second = (
        [str(run.checkpoint(name)) for name in names] for names in (("step-2", "step-4"), ("best", "last"))
    )
    assert main(["average", *first]) == 0
    before = mean.read_bytes()
    assert main(["average", *first]) == 0
    capsys.readouterr()
    assert main(["average", *second]) == 2
    said = capsys.readouterr().err
    assert f"{mean} is there" in said and "--out FILE" in said and said.count("\n") == 1
    assert mean.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say which checkpoints: --last N"),
        (["--last", "9"], r"has kept 4 checkpoints, not 9: ask for fewer, or train with trainer.keep=9"),
        (["--last", "0"], "0 checkpoints have no mean"),
        (["--last", "1", "--best", "1"], "not allowed with"),
        (["--last", "2", "--out", "BEST"], "is there: choose another"),
        (["--last", "2", "--out", "mean.txt"], "ends with .safetensors"),
    ],
)
def test_what_cannot_be_is_one_line(kept: Run, arguments: list[str], message: str, capsys: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in kept.folder.rglob("*")}
    arguments = [str(kept.checkpoint("best")) if each == "BEST" else each for each in arguments]
    assert main(["average", str(kept.folder), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert before == {path: path.stat().st_mtime_ns for path in kept.folder.rglob("*")}


def test_a_misspelt_checkpoint_is_answered_with_the_nearest(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "best.safetensors").touch()
    (tmp_path / "last.safetensors").touch()
    assert main(["average", str(tmp_path / "last.safetensors"), str(tmp_path / "besst.safetensors")]) == 2
    assert "besst.safetensors: no run folder and no checkpoint (.safetensors) there; did you mean best" in (
        capsys.readouterr().err
    )


def test_strangers_and_broken_weights_are_refused(
    kept: Run, tmp_path: Path, toy_config: MakeConfig, capsys: Any
) -> None:
    config = replace(toy_config("transformer", max_steps=1), outputs=str(tmp_path), name="other")
    other, own = str(session.train(config).checkpoint("best")), str(kept.checkpoint("best"))
    out = tmp_path / "out.safetensors"
    assert main(["average", own, other, "--out", str(out)]) == 2
    assert "another model than" in capsys.readouterr().err
    folder = shutil.copytree(kept.folder, tmp_path / "copy")
    broken = Run(folder).checkpoint("step-2")
    tensors, state = checkpoint.read(broken)
    weights = checkpoint.part(tensors, "model")
    next(iter(weights.values()))[0] = float("nan")
    checkpoint.save_weights(broken, weights, state)
    assert main(["average", own, str(broken), "--out", str(out)]) == 2
    assert "not finite: leave it out" in capsys.readouterr().err
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    assert main(["average", own, str(tmp_path / "foreign.safetensors"), "--out", str(out)]) == 2
    assert main(["average", own, str(tmp_path / "nothing.safetensors"), "--out", str(out)]) == 2
    assert main(["average", own, own, "--last", "1"]) == 2
    assert not out.exists()
