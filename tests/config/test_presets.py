"""What ships under configs/: all of it composes, and the models of one size are comparable."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import seq2seq.configs
import torch
import yaml

from seq2seq.config.compose import compose, options_of
from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.models.build import build, parameters_by_part
from seq2seq.runs.run import run_of

SIZES = {"embedded": "", "quick": "quick/", "multi30k": "multi30k/", "iwslt": "iwslt14/", "wmt": "wmt14/"}
MODELS = ("lstm", "bahdanau", "transformer")
DEEP = ["model.decoder.context=final_states", "model.encoder.bidirectional=false", "model.encoder.reverse_source=true"]


def deep(layers: int, width: int, *more: str) -> list[str]:
    """Sutskever et al.'s model: encoder and decoder of equal layers, the source back to front."""
    sizes = [f"model.{part}.{key}" for part in ("encoder", "decoder") for key in (f"layers={layers}", f"width={width}")]
    return ["experiment=lstm", *DEEP, *sizes, *more]


EQUAL = {
    "lstm": ["experiment=lstm"],
    "language-model": ["experiment=language_model"],
    "deep-1": deep(1, 320),
    "deep-2": deep(2, 200),
    "deep-3": deep(3, 156),
    "deep-4": deep(4, 136),
    "width-64": ["experiment=lstm", "model.decoder.context_width=64", "model.decoder.width=360"],
    "width-512": ["experiment=lstm", "model.embedding=64", "model.encoder.width=256", "model.decoder.width=96",
                  "model.decoder.context_width=512"],
    "width-1024": deep(4, 128, "model.embedding=160"),
    "slots-1": ["experiment=bahdanau", "model.encoder.slots=1", "model.decoder.width=192"],
    "slots-16": ["experiment=bahdanau", "model.encoder.slots=16", "model.decoder.width=192"],
    "hybrid": ["experiment=hybrid", "model.encoder.feed_forward=704"],
    "hybrid-slots-1": ["experiment=hybrid", "model.encoder.slots=1", "model.encoder.feed_forward=576"],
    "transformer-slots-1": ["experiment=transformer", "model.encoder.slots=1", "model.encoder.feed_forward=672"],
    "transformer-slots-16": ["experiment=transformer", "model.encoder.slots=16", "model.encoder.feed_forward=672"],
    **{f"{model}-mingru": [f"experiment={model}", "model.encoder.cell=mingru", "model.encoder.layers=3",
                           "model.encoder.width=120"] for model in ("lstm", "bahdanau")},
    "uniform": ["experiment=bahdanau", "model.decoder.score=uniform", "model.decoder.width=272"],
}  # fmt: skip
"""Changed models of as many parameters as the presets of the embedded corpus, as docs/models.md lists them."""
EXPERIMENTS = options_of("experiment")


@cache
def composed(experiment: str) -> Config:
    return compose([f"experiment={experiment}"])


def parameters(config: Config) -> int:
    vocabulary = config.data.subwords.vocab_size
    with torch.device("meta"):
        return parameters_by_part(build(config.model, vocabulary, vocabulary))["total"]


@pytest.mark.parametrize("size", SIZES)
def test_the_three_models_of_a_size_match_in_parameters(size: str) -> None:
    totals = {model: parameters(composed(SIZES[size] + model)) for model in MODELS}
    assert max(totals.values()) <= 1.02 * min(totals.values()), totals


@pytest.mark.parametrize("size", ["embedded", "multi30k"])
def test_the_language_model_has_as_many_parameters_as_the_models_it_is_compared_with(size: str) -> None:
    own, other = (parameters(composed(SIZES[size] + model)) for model in ("language_model", "transformer"))
    assert abs(own / other - 1) < 0.02, (own, other)


FEW = ("lstm", "deep-2", "width-1024", "slots-16", "hybrid-slots-1", "lstm-mingru", "uniform")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FEW)) for name in EQUAL])
def test_changed_models_have_as_many_parameters_as_the_presets(name: str) -> None:
    assert parameters(compose(EQUAL[name])) == pytest.approx(1_460_000, rel=0.02)


@pytest.mark.parametrize("width", [64, 512, 1024])
def test_a_wider_vector_is_no_wider_than_what_the_encoder_gives(width: int) -> None:
    """Else its rank would be less than its width."""
    model = compose(EQUAL[f"width-{width}"]).model
    assert model.vector_width == width
    assert model.decoder.needs_final_states or width <= model.encoder.output_width


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_trains_the_model_it_is_named_after(experiment: str) -> None:
    config = composed(experiment)
    *corpus, model = experiment.split("/")
    assert config.model.name == model
    assert config.data.name == (corpus[0] if corpus else "embedded")
    assert run_of(config).folder == Path("outputs") / config.data.name / model / "seed1"


@pytest.mark.parametrize("corpus", sorted({name.rpartition("/")[0] for name in EXPERIMENTS}))
def test_a_corpus_has_all_three_models_on_equal_terms(corpus: str) -> None:
    configs = [composed(f"{corpus}/{model}".lstrip("/")) for model in MODELS]
    assert all(config.data == configs[0].data for config in configs)
    assert all(config.decode == configs[0].decode for config in configs)
    assert all(config.model.dropout == configs[0].model.dropout for config in configs)
    for field in ("batch_tokens", "max_steps", "max_epochs", "max_tokens", "label_smoothing", "metric", "average"):
        assert len({getattr(config.trainer, field) for config in configs}) == 1, field


@pytest.mark.parametrize(
    ("experiment", "choices", "optimizer"),
    [
        ("text/lstm", ["data=text", "model=lstm-multi30k", "trainer=text"], {"name": "muon", "lr": 0.004}),
        ("iwslt14/transformer", ["data=iwslt14", "model=transformer-iwslt", "trainer=iwslt"], {"lr": 0.0005}),
        ("opus100/bahdanau", ["data=opus100", "model=bahdanau-wmt", "trainer=wmt"], {"lr": 0.0005}),
        ("wmt14/transformer", ["data=wmt14", "model=transformer-wmt", "trainer=wmt"], {"lr": 0.0007}),
    ],
)
def test_the_sizes_of_model_and_trainer_follow_the_corpus(
    experiment: str, choices: list[str], optimizer: dict[str, object]
) -> None:
    given = [f"trainer.optimizer.{key}={value}" for key, value in optimizer.items()]
    assert composed(experiment) == compose([*choices, *given])


def test_a_choice_on_the_command_line_replaces_that_of_the_experiment() -> None:
    assert compose(["experiment=multi30k/lstm", "model=hybrid"]).model.name == "hybrid"


def test_an_unknown_pair_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"^unknown experiment multi30k/lsm; did you mean multi30k/lstm\?"):
        compose(["experiment=multi30k/lsm"])


def test_no_two_experiments_share_a_run_folder() -> None:
    folders = [run_of(composed(experiment)).folder for experiment in EXPERIMENTS]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize("group", ["data", pytest.param("model", marks=pytest.mark.slow), "trainer", "decode"])
def test_every_choice_of_a_group_composes(group: str) -> None:
    for choice in options_of(group):
        assert isinstance(compose([f"{group}={choice}"]), Config), choice


def test_no_config_names_anything_to_call() -> None:
    folder = Path(next(iter(seq2seq.configs.__path__)))
    for path in folder.rglob("*.yaml"):
        assert "_target_" not in path.read_text(), path
        assert isinstance(yaml.safe_load(path.read_text()), dict), path
