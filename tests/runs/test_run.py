"""What a run folder is, and which configs are the same run."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config.schema import Config, ModelConfig
from seq2seq.errors import UserError
from seq2seq.runs.run import LOCK, Run, differences, find, run_of


@pytest.fixture
def config(tiny_models: dict[str, ModelConfig]) -> Config:
    config = Config(model=replace(tiny_models["bahdanau"]))
    config.trainer.max_steps = 5
    config.trainer.optimizer.eps = 1e-9
    return config


def test_a_config_comes_back_as_it_was_saved(name: str, tiny_models: dict[str, ModelConfig], tmp_path: Path) -> None:
    config = Config(model=tiny_models[name])
    config.trainer.max_steps = 5
    config.data.train.src = "dämmerung.de"
    Run(tmp_path).save_config(config)
    assert Run(tmp_path).load_config() == config
    assert differences(Run(tmp_path).load_config(), config) == []


def test_a_config_is_read_again_when_its_file_has_changed_and_is_nobody_elses(config: Config, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_config(config)
    run.load_config().trainer.max_steps = 7
    assert run.load_config() == config
    config.seed = 2  # of the same length
    run.save_config(config)
    assert run.load_config().seed == 2


def test_a_config_of_many_files_is_a_runs_and_one_that_could_not_be_read_is_not_written(
    config: Config, tmp_path: Path
) -> None:
    run = Run(tmp_path)
    config.data.train.src = [f"/mnt/corpora/a-collection-of-texts/part-{n:05d}.de-en.en.txt.gz" for n in range(1500)]
    run.save_config(config)
    assert run.has_config() and run.load_config() == config
    config.data.train.src *= 10
    with pytest.raises(UserError, match=r"config\.yaml .* 1,000,000 bytes: name files by a pattern"):
        run.save_config(config)
    assert len(run.load_config().data.train.src) == 1500


def test_a_value_that_was_not_finite_is_no_number_of_the_curve(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.metrics_file.write_text('{"step": 1, "valid/nll": null}\n{"step": 2, "valid/nll": 3.5}\n')
    curve = run.curve("valid/nll")
    assert math.isnan(curve[1]) and curve[2] == 3.5


def test_the_folder_follows_from_corpus_model_and_seed(config: Config) -> None:
    assert run_of(replace(config, seed=3)).folder == Path("outputs/embedded/tiny/seed3")
    assert run_of(replace(config, name="mine", outputs="there")).folder == Path("there/mine")


def test_differences_name_the_keys_and_both_values(config: Config) -> None:
    other = replace(config, seed=2, trainer=replace(config.trainer, max_steps=9))
    assert differences(config, other) == ["seed: 1 -> 2", "trainer.max_steps: 5 -> 9"]


def test_another_decoder_is_a_difference(config: Config, tiny_models: dict[str, ModelConfig]) -> None:
    changed = differences(config, replace(config, model=tiny_models["lstm"]))
    assert "model.decoder.type: attention -> fixed_context" in changed
    assert "model.decoder.context_width: None -> 9" in changed


@pytest.mark.parametrize(
    "change",
    [
        lambda c: replace(c, device="cpu", outputs="x", name="y", overwrite=True),
        lambda c: replace(c, trainer=replace(c.trainer, threads=3)),
        lambda c: replace(c, data=replace(c.data, cache="elsewhere", split="valid")),
    ],
)
def test_place_and_machine_make_no_other_run(change: Any, config: Config) -> None:
    assert differences(config, change(config)) == []


def test_the_averaged_weights_are_preferred_then_the_best(config: Config, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_config(config)
    run.checkpoint("last").parent.mkdir()
    with pytest.raises(UserError, match="no checkpoint yet"):
        find(tmp_path)
    for name in ("last", "best", "averaged"):
        run.checkpoint(name).touch()
        assert find(tmp_path) == (run, name)


def test_a_checkpoint_is_found_with_its_run(tmp_path: Path) -> None:
    path = Run(tmp_path).checkpoint("recent-5")
    path.parent.mkdir()
    path.touch()
    assert find(path) == (Run(tmp_path), "recent-5")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a run folder"),
        (b"a: [", "not a readable config"),
        (b"a: \xff", "not a readable config"),
        (b"just text", "not a config"),
        (b"", "not a config"),
        (b"model: {name: x}", "model.encoder"),
        (b"model: {encoder: {type: os.system}, decoder: {type: x}}", "model.encoder.type"),
        (b"seed: ${oc.env:HOME}", "interpolations"),
        (b"seed: !!python/object/apply:os.getcwd []", "not a readable config"),
    ],
)
def test_what_is_no_saved_config_is_one_line(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        Run(tmp_path).load_config()
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_saved_config_of_another_version_names_the_key(config: Config, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_config(config)
    run.config_file.write_text(run.config_file.read_text().replace("max_steps:", "max_stepz:"))
    with pytest.raises(UserError, match=r"config\.yaml: unknown key trainer\.max_stepz; did you mean trainer\.max_ste"):
        run.load_config()


def test_a_run_is_finished_by_its_summary(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert not run.finished
    run.save_summary({"steps": 3})
    assert run.finished


def test_a_locked_run_lets_no_second_training_in_and_the_lock_leaves_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "outputs/text/lstm/seed1")
    with run.locked():
        with pytest.raises(UserError, match="seed1 is being trained by another process"), run.locked():
            pass
        with Run(tmp_path / "outputs/text/lstm/seed2").locked():
            pass
    assert list(tmp_path.iterdir()) == []


def test_no_spelling_of_the_path_leads_around_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path / "outputs/a")
    (tmp_path / "link").symlink_to(tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    with run.locked():
        monkeypatch.setenv("TMPDIR", str(tmp_path / "outputs"))
        for spelling in ("outputs/a", "outputs/../outputs/a", "link/a"):
            with pytest.raises(UserError, match="is being trained by another process"), Run(Path(spelling)).locked():
                pass


@pytest.mark.parametrize("stands", ["link", "pipe"])
def test_what_stands_in_the_place_of_the_lock_is_left_alone(stands: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("text")
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    lock = run.folder / LOCK
    lock.symlink_to(tmp_path / "precious") if stands == "link" else os.mkfifo(lock)
    with pytest.raises(UserError, match="where a lock is to be: remove it"), run.locked():
        pass
    assert (tmp_path / "precious").read_text() == "text"


NAMES = ["..", ".", "/", "", "a/../..", "a//b", "a/", "../outputs2", "/tmp/elsewhere", "a\nb", "a\0b"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["name", "data.name", "model.name"])
def test_a_name_stays_below_outputs(key: str, name: str, config: Config, tmp_path: Path) -> None:
    config.outputs = str(tmp_path / "outputs")
    owner = {"name": config, "data.name": config.data, "model.name": config.model}[key]
    owner.name = name  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"name.* names no folder below"):
        run_of(config)


def test_a_name_that_no_file_system_takes_is_refused(config: Config) -> None:
    config.name = "a/" + "ä" * 101
    with pytest.raises(UserError, match=r"name=a/ä+… is too long for the name of a folder: at most 200 bytes"):
        run_of(config)


def test_a_link_out_of_outputs_is_refused(config: Config, tmp_path: Path) -> None:
    config.outputs, config.name = str(tmp_path / "outputs"), "link/run"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"name=link/run: .* leads out of"):
        run_of(config)
    (tmp_path / "outputs/link").unlink()
    (tmp_path / "outputs").rename(tmp_path / "disk")
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")  # outputs itself may be a link
    assert run_of(config).folder == tmp_path / "outputs/link/run"


def test_a_run_is_not_put_among_the_files_of_another(config: Config, tmp_path: Path) -> None:
    config.outputs, config.name = str(tmp_path), "a"
    run_of(config).save_config(config)
    config.name = "a/checkpoints"
    with pytest.raises(UserError, match="lies among the files of the run"):
        run_of(config)
    config.name = "a/b"
    assert run_of(config).folder == tmp_path / "a/b"


def test_only_a_runs_own_files_are_removed(config: Config, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.save_config(config)
    run.save_summary({"steps": 3})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").write_text("")
    (run.folder / "tensorboard").symlink_to(tmp_path / "elsewhere")
    (run.folder / "notes.md").write_text("")
    (run.folder / "events.out.tfevents.1.host.2.0").write_text("")
    run.remove()
    assert sorted(path.name for path in run.folder.iterdir()) == ["notes.md"]
    assert (tmp_path / "elsewhere/precious").exists()


def test_what_was_meant_is_named_where_it_is_near(tmp_path: Path) -> None:
    checkpoints = tmp_path / "mine" / "checkpoints"
    text = tmp_path / "text.src"
    text.touch()
    checkpoints.mkdir(parents=True)
    for name in ("best", "last"):
        (checkpoints / f"{name}.safetensors").touch()
    told = {
        checkpoints / "besst.safetensors": "there; did you mean best.safetensors?",
        tmp_path / "mime": "there; did you mean mine?",
        tmp_path / "mime" / "checkpoints" / "best.safetensors": f"there is no {tmp_path / 'mime'}; did you mean mine?",
        tmp_path / "quite" / "elsewhere": "there; seq2seq runs lists all runs below outputs",
        text / "checkpoints": "there; seq2seq runs lists all runs below outputs",
        text: f"there: a text is given by --in {text}, or --src FILE --ref FILE",
    }
    for path, end in told.items():
        with pytest.raises(UserError) as caught:
            find(path)
        assert str(caught.value).endswith(end)


def test_a_folder_of_runs_names_one_of_them(config: Config, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (runs / "export" / "onnx").mkdir(parents=True)
    with pytest.raises(UserError, match=r"runs: not a run folder, it has no config\.yaml$"):
        find(runs)
    for name in ("export/onnx", "b/seed1", "a/lstm/seed2", "a/lstm/seed1"):
        Run(runs / name).save_config(config)
    with pytest.raises(UserError) as caught:
        find(runs)
    assert str(caught.value).endswith(f"it has no config.yaml; a run below it is {runs / 'a/lstm/seed1'}")
