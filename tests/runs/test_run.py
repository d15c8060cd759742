"""What a run folder is, and which configs are the same run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.config.schema import Config, ModelConfig
from seq2seq.errors import UserError
from seq2seq.runs.run import Run, differences, find, run_of


@pytest.fixture
def config(tiny_models: dict[str, ModelConfig]) -> Config:
    config = Config(model=tiny_models["bahdanau"])
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
    assert run.load_summary() == {"steps": 3}


def test_a_locked_run_lets_no_second_training_in_and_the_lock_leaves_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "outputs/text/lstm/seed1")
    with run.locked():
        with pytest.raises(UserError, match="seed1 is being trained by another process"), run.locked():
            pass
        with Run(tmp_path / "outputs/text/lstm/seed2").locked():
            pass
    with run.locked():
        assert list(tmp_path.iterdir()) == []
