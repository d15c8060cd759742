"""A training that begins from trained weights: what is taken along, what is left out or frozen, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from seq2seq.cli.main import main
from seq2seq.config.compose import compose
from seq2seq.config.schema import Config, DataConfig, SplitConfig
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from seq2seq.training import session
from seq2seq.training.trainer import Trainer

MakeConfig = Callable[..., Config]
MODELS = ["lstm", "bahdanau", "transformer"]


def weights(run: Run, name: str = "best") -> dict[str, bytes]:
    tensors = load_file(run.checkpoint(name))
    return {key: tensor.numpy().tobytes() for key, tensor in tensors.items() if key.startswith("model/")}


@pytest.fixture(scope="session")
def general(toy_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of each model on the toy corpus."""
    outputs = str(tmp_path_factory.mktemp("general"))
    configs = {name: toy_config(name, max_steps=4, valid_every=2) for name in MODELS}
    return {name: session.train(replace(configs[name], outputs=outputs, name=name)) for name in MODELS}


@pytest.fixture
def tuned(toy_config: MakeConfig, toy_data: DataConfig, general: dict[str, Run], tmp_path: Path) -> MakeConfig:
    """``tuned(name, model, **options)``: a config that goes on from the general run with ten pairs of another text."""
    own = [("a cat sees", "eine katze sieht"), ("an old child", "ein altes kind")]
    for side, ending in enumerate(("en", "de")):
        (tmp_path / f"own.{ending}").write_text("".join(f"{pair[side]}\n" for pair in own * 5))
    text = SplitConfig(src=str(tmp_path / "own.en"), tgt=str(tmp_path / "own.de"))

    def config(name: str, model: str = "transformer", **options: Any) -> Config:
        trainer = {key: options.pop(key) for key in list(options) if key not in Config.__dataclass_fields__}
        data = replace(toy_data, name="own", train=text, valid=text, test=text, tests={"general": toy_data.test})
        made = toy_config(model, data, **{"max_steps": 3, "valid_every": 3, "lr": 0.01, "warmup_steps": 1, **trainer})
        outputs = str(tmp_path / "outputs")
        return replace(made, outputs=outputs, name=name, **{"init": str(general[model].folder), **options})

    return config


@pytest.mark.parametrize("model", MODELS)
def test_weights_and_subwords_are_taken_along(
    tuned: MakeConfig, general: dict[str, Run], model: str, capsys: Any
) -> None:
    source, run = general[model], session.train(tuned("taken", model))
    assert weights(run, "initial") == weights(source)
    assert weights(run) != weights(source)
    for name in ("src.model", "tgt.model"):
        assert (run.subwords / name).read_bytes() == (source.subwords / name).read_bytes()
    assert run.load_fingerprint()["initial"]
    gains = run.load_summary()["gains"]
    before = {gain["metric"]: gain["before"] for gain in gains if gain["test"] == "general"}
    test = source.load_summary()["test"]
    assert before == {"BLEU": test["bleu"], "chrF": test["chrf"]}, "the general run's own test, by the same search"
    after = {gain["metric"]: gain["after"] for gain in gains if gain["test"] == "test"}
    assert after["chrF"] == run.load_summary()["test"]["chrf"]
    assert all(gain["low"] <= gain["after"] - gain["before"] <= gain["high"] for gain in gains)
    assert "what this training changed" in capsys.readouterr().out


def test_of_a_training_that_averages_the_average_is_taken(
    toy_config: MakeConfig, tuned: MakeConfig, tmp_path: Path
) -> None:
    config = toy_config("transformer", max_steps=2, valid_every=2, ema=0.9)
    source = session.train(replace(config, outputs=str(tmp_path), name="averaged"))
    run = session.train(tuned("from-last", init=str(source.checkpoint("last")), max_steps=1))
    last = load_file(source.checkpoint("last"))
    average = {name.replace("average/", "model/"): last[name] for name in last if name.startswith("average/")}
    assert weights(run, "initial") == {name: tensor.numpy().tobytes() for name, tensor in average.items()}
    assert weights(run, "initial") != weights(source, "last")


def test_a_run_goes_on_without_the_one_that_it_began_from(
    tuned: MakeConfig, general: dict[str, Run], tmp_path: Path, monkeypatch: Any
) -> None:
    copy = shutil.copytree(general["transformer"].folder, tmp_path / "copy")
    expected = session.train(tuned("undisturbed", init=str(copy), save_every=1))
    log = Trainer._log_training

    def die(trainer: Trainer) -> None:
        if trainer.state.step == 2:
            raise SystemExit(9)
        log(trainer)

    config = tuned("cut short", init=str(copy), save_every=1)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Trainer, "_log_training", die)
        session.train(config)
    shutil.rmtree(copy)
    run = session.train(config)
    assert weights(run, "last") == weights(expected, "last")
    assert run.load_summary()["gains"] == expected.load_summary()["gains"]
    assert run.load_fingerprint()["initial"] == expected.load_fingerprint()["initial"]
    assert session.train(config).finished  # and its config is still the same


@pytest.mark.parametrize("model", MODELS)
def test_what_is_frozen_keeps_its_bits_and_the_rest_learns(tuned: MakeConfig, model: str) -> None:
    run = session.train(tuned("frozen", model, freeze=["encoder.*", "*.bias*"]))
    first, last = weights(run, "initial"), weights(run, "last")
    frozen = {key for key in first if key.startswith("model/encoder.") or ".bias" in key}
    assert {key for key in first if first[key] == last[key]} == frozen
    assert len(frozen) < len(first)


def test_what_is_skipped_begins_at_random(tuned: MakeConfig, general: dict[str, Run]) -> None:
    config = tuned("skipped", init_skip=["decoder.*"])
    run = session.train(config)
    first, source = weights(run, "initial"), weights(general["transformer"])
    assert {key.split(".")[0] for key in first if first[key] == source[key]} >= {"model/encoder", "model/output"}
    matrices = [key for key in first if key.startswith("model/decoder.") and "weight" in key and "norm" not in key]
    assert matrices and not any(first[key] == source[key] for key in matrices)
    assert "gains" not in run.load_summary(), "nothing was learned before"


def test_new_subwords_are_learned_where_the_tables_are_left_out(tuned: MakeConfig, general: dict[str, Run]) -> None:
    config = tuned("new", init_skip=["*embedding*", "output.*"])
    config.data = replace(config.data, subwords=replace(config.data.subwords, from_run="new", vocab_size=30))
    run = session.train(config)
    assert run.load_config().data.subwords.vocab_size == 30
    assert (run.subwords / "src.model").read_bytes() != (general["transformer"].subwords / "src.model").read_bytes()


def test_subwords_alone_can_be_taken(tuned: MakeConfig, general: dict[str, Run]) -> None:
    config = tuned("subwords", init=None)
    config.data = replace(
        config.data, subwords=replace(config.data.subwords, from_run=str(general["lstm"].folder), vocab_size=8_000)
    )
    run = session.train(config)
    assert run.load_config().data.subwords.vocab_size == 60
    assert not run.checkpoint("initial").exists() and "gains" not in run.load_summary()
    assert session.train(config).finished


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": "nowhere"}, "nowhere: no run folder and no checkpoint"),
        ({"init_skip": ["decodr.*"]}, r"init_skip: no parameter fits decodr.\*; did you mean|init_skip: no parameter"),
        ({"init_skip": ["*"]}, "leaves nothing of"),
        ({"init": None, "init_skip": ["decoder.*"]}, r"no parameter fits decoder.\* \(init is not set\)"),
        ({"freeze": ["*"]}, "leaves nothing to train"),
        ({"freeze": ["nothing"]}, "trainer.freeze: no parameter fits nothing"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    tuned: MakeConfig, options: dict[str, Any], message: str
) -> None:
    config = tuned("refused", **options)
    with pytest.raises(UserError, match=message):
        session.train(config)
    assert not (Path(config.outputs) / "refused").exists()


def test_unlike_shapes_are_named(tuned: MakeConfig, general: dict[str, Run]) -> None:
    with pytest.raises(UserError, match=r"decoder.context.compress.bias \(\d+,\) there, not here; .*; \d+ more: leave"):
        session.train(tuned("unlike", "transformer", init=str(general["lstm"].folder)))


def test_the_command_takes_the_model_of_the_run(general: dict[str, Run], tmp_path: Path, capsys: Any) -> None:
    folder = general["bahdanau"].folder
    own = [f"data.train.{side}={tmp_path / side}" for side in ("src", "tgt")]
    for path in ("src", "tgt"):
        (tmp_path / path).write_text("the dog sees the cat\n" * 9)
    arguments = [f"init={folder}", "data=text", *own, "data.holdout=1", f"data.cache={tmp_path}", "trainer.max_steps=1"]
    command = ["train", *arguments, f"outputs={tmp_path}", "model.dropout=0.25", "device=cpu"]
    assert main(command) == 0
    run = Run(tmp_path / "text" / general["bahdanau"].load_config().model.name / "seed1")
    assert run.load_config().model == replace(general["bahdanau"].load_config().model, dropout=0.25)
    assert main(command) == 0, "finished"
    assert main([*command, "overwrite=true", f"init={run.folder}"]) == 2
    assert "is the run itself" in capsys.readouterr().err
    assert run.finished
    assert main(["train", *arguments, f"outputs={tmp_path}", "model.decoder.heads=2"]) == 2
    assert "model.decoder.heads" in capsys.readouterr().err
    assert main(["train", "data=text", *own]) == 2
    assert "or init=RUN" in capsys.readouterr().err


def test_languages_that_the_letters_do_not_tell_are_those_of_the_run(
    tuned: MakeConfig, general: dict[str, Run], tmp_path: Path, capsys: Any
) -> None:
    shutil.copytree(general["lstm"].folder, tmp_path / "english")
    began = Run(tmp_path / "english").load_config()
    Run(tmp_path / "english").save_config(replace(began, data=replace(began.data, src="en", tgt="de")))
    config = tuned("own", "lstm", init=str(tmp_path / "english"))
    config = replace(config, data=replace(config.data, src=None, tgt=None))
    assert session.train(config).load_config().data.codes == ("en", "de")
    assert "data.tgt is not given: de, as in the run of init; to set it: data.tgt=CODE" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "english")
    assert session.train(replace(config, extend=True, trainer=replace(config.trainer, max_steps=5))).finished
    silent = replace(config, name="silent", init=str(general["lstm"].folder))
    assert session.train(silent).load_config().data.codes == general["lstm"].load_config().data.codes == (None, None)
    shutil.copytree(general["lstm"].folder, tmp_path / "cyrillic")
    Run(tmp_path / "cyrillic").save_config(replace(began, data=replace(began.data, src="ru", tgt="uk")))
    other = replace(config, name="other", init=str(tmp_path / "cyrillic"))
    assert session.train(other).load_config().data.codes == (None, None), "of other letters than this text"


def test_the_usual_name_of_the_key_is_understood() -> None:
    assert compose(["experiment=lstm", "data.subwords.from=my run"]).data.subwords.from_run == "my run"
