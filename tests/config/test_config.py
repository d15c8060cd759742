"""The schema and its checks: what is impossible is said at once, with the key, its value, and what is possible."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from seq2seq.config.compose import compose
from seq2seq.config.overrides import override
from seq2seq.config.schema import (
    DECODERS,
    ENCODERS,
    AttentionDecoderConfig,
    Config,
    DecodeConfig,
    ModelConfig,
    RecurrentEncoderConfig,
    TransformerEncoderConfig,
)
from seq2seq.config.validation import from_plain, known_keys, sections, to_plain, validate
from seq2seq.errors import UserError, nearest

COMBINATIONS = [(encoder, decoder) for encoder in ENCODERS for decoder in DECODERS]


def config(encoder: str = "recurrent", decoder: str = "attention") -> Config:
    """The smallest valid config of an encoder and a decoder."""
    made = Config(model=ModelConfig(name="m", encoder=ENCODERS[encoder](), decoder=DECODERS[decoder]()))
    made.trainer.max_steps = 10
    return made


def changed(changes: dict[str, Any], encoder: str = "recurrent", decoder: str = "attention") -> dict[str, Any]:
    """A valid saved config with some keys set to something else."""
    plain = to_plain(config(encoder, decoder))
    for key, value in changes.items():
        *path, last = key.split(".")
        node = plain
        for part in path:
            node = node[part]
        node[last] = value
    return plain


def refusal(changes: dict[str, Any], encoder: str = "recurrent", decoder: str = "attention") -> str:
    with pytest.raises(UserError) as error:
        from_plain(changed(changes, encoder, decoder), "saved")
    message = str(error.value)
    assert "\n" not in message
    return message


def every_option() -> dict[tuple[str, str], tuple[Config, Any]]:
    """Every option of every kind of model, by kind and key: a config that has it, and its field."""
    found: dict[tuple[str, str], tuple[Config, Any]] = {}
    for encoder, decoder in (
        ("recurrent", "fixed_context"),
        ("recurrent", "attention"),
        ("transformer", "transformer"),
    ):
        made = config(encoder, decoder)
        for key, f, _ in sections(made):
            kind = (
                encoder if key.startswith("model.encoder.") else decoder if key.startswith("model.decoder.") else "run"
            )
            found.setdefault((kind, key), (made, f))
    return found


OPTIONS = every_option()


# --------------------------------------------------------------------------------------------------------- schema


def test_every_option_is_explained() -> None:
    assert [key for (_, key), (_, f) in OPTIONS.items() if not f.metadata.get("help")] == []


def test_every_default_is_within_its_limits() -> None:
    for made, _ in OPTIONS.values():
        assert validate(made) is made


def test_every_number_has_a_lower_limit() -> None:
    numbers = [(key, f) for (_, key), (_, f) in OPTIONS.items() if "int" in f.type or "float" in f.type]
    assert len(numbers) > 40
    assert [key for key, f in numbers if f.metadata["low"] is None and f.metadata["above"] is None] == []


def test_known_keys_are_all_keys_once() -> None:
    keys = known_keys()
    assert len(keys) == len(set(keys))
    assert keys == sorted(keys)
    assert {key for _, key in OPTIONS} <= set(keys)
    assert {"trainer", "trainer.optimizer", "trainer.optimizer.lr", "model.encoder.heads", "seed"} <= set(keys)


def test_the_marks_are_the_first_ids_of_every_vocabulary() -> None:
    from seq2seq.config.schema import BOS, EOS, PAD, UNK

    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("encoder", "width"),
    [
        (RecurrentEncoderConfig(width=7), 14),
        (RecurrentEncoderConfig(width=7, bidirectional=False), 7),
        (TransformerEncoderConfig(width=8), 8),
    ],
)
def test_output_width(encoder: Any, width: int) -> None:
    assert encoder.output_width == width


@pytest.mark.parametrize(
    ("model", "sees", "vectors", "width"),
    [
        (["model=lstm"], "vector", 1, 256),
        (["model=bahdanau"], "positions", None, 0),
        (["model=bahdanau", "model.encoder.slots=1"], "vector", 1, 256),
        (["model=transformer", "model.encoder.slots=1"], "vector", 1, 128),
        (["model=transformer", "model.encoder.slots=16"], "slots", 16, 0),
        (["model=lstm", "model.encoder.slots=4"], "vector", 1, 256),
        (["model=bahdanau", "model.decoder.score=uniform"], "vector", 1, 512),
        (["model=language_model"], "nothing", 0, 0),
    ],
)
def test_options_say_what_the_decoder_sees(model: list[str], sees: str, vectors: int | None, width: int) -> None:
    options = compose(model).model
    assert (options.sees, options.vectors, options.vector_width) == (sees, vectors, width)
    assert bool(options.attention_maps) == (
        model[0] in ("model=bahdanau", "model=transformer") and "uniform" not in model[-1]
    )


FINAL = {
    "model.decoder.context": "final_states",
    "model.encoder.bidirectional": False,
    "model.encoder.width": 256,
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model.encoder.layers": 2}, "model.encoder.layers=1, which the decoder has, not 2"),
        ({"model.encoder.width": 128}, "model.encoder.width=256, which the decoder has, not 128"),
        ({"model.decoder.cell": "gru"}, "model.encoder.cell=gru, which the decoder has, not lstm"),
        ({"model.encoder.bidirectional": True}, "an encoder in one direction: set model.encoder.bidirectional=false"),
        ({"model.encoder.slots": 2}, "not model.encoder.slots=2: leave one out"),
    ],
)
def test_final_states_need_an_encoder_like_the_decoder(changes: dict[str, Any], told: str) -> None:
    assert from_plain(changed(FINAL, decoder="fixed_context"), "saved")
    said = refusal({**FINAL, **changes}, decoder="fixed_context")
    assert said.startswith("model.decoder.context=final_states needs") and told in said


def test_final_states_need_a_recurrent_encoder_and_slots_a_source() -> None:
    said = refusal({"model.decoder.context": "final_states"}, "transformer", "fixed_context")
    assert "needs a recurrent encoder, not model.encoder.type=transformer" in said
    assert "model.encoder.slots=3 has no source to read" in refusal({"model.encoder.slots": 3}, "constant")
    assert "model.encoder.slots=0 is too small" in refusal({"model.encoder.slots": 0})


# ------------------------------------------------------------------------------------------------- plain and typed


@pytest.mark.parametrize(("encoder", "decoder"), COMBINATIONS)
def test_a_config_survives_being_saved(encoder: str, decoder: str) -> None:
    original = config(encoder, decoder)
    original.trainer.optimizer.lr = 0.123
    original.data.take = 5
    plain = to_plain(original)
    loaded = from_plain(copy.deepcopy(plain), "saved")
    assert loaded == original
    assert type(loaded.model.encoder) is ENCODERS[encoder]
    assert type(loaded.model.decoder) is DECODERS[decoder]
    assert to_plain(loaded) == plain


def test_a_saved_config_is_plain_data() -> None:
    nodes: list[Any] = [to_plain(config())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
        else:
            assert node is None or type(node) in (int, float, str, bool)


def test_reading_changes_neither_the_given_nor_the_defaults() -> None:
    plain = changed({"trainer.batch_tokens": 500})
    before = copy.deepcopy(plain)
    from_plain(plain, "saved")
    assert plain == before
    assert Config().trainer.batch_tokens != 500


@pytest.mark.parametrize("key", ["data.name", "data.train.src", "outputs", "model.name"])
def test_interpolations_of_a_stranger_are_refused(key: str) -> None:
    message = refusal({key: "${oc.env:HOME}"})
    assert message.startswith("saved: interpolations")
    assert "/root" not in message


@pytest.mark.parametrize("plain", [{}, {"model": {}}, {"model": None}, {"model": {"encoder": {"type": "cnn"}}}, []])
def test_a_config_without_a_model_is_refused(plain: Any) -> None:
    with pytest.raises(UserError, match=r"saved: .*(is not one of recurrent, transformer|must be a section)"):
        from_plain(plain, "saved")


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("trainer.max_step", "did you mean trainer.max_steps?"),
        ("trainer.optimizer.learning_rate", "unknown key trainer.optimizer.learning_rate"),
        ("trainer.optimizer.rl", "did you mean trainer.optimizer.lr?"),
        ("decode.beams", "did you mean decode.beam?"),
        ("data.subwords.vocabsize", "did you mean data.subwords.vocab_size?"),
        ("model.decoder.atention_width", "did you mean model.decoder.attention_width?"),
        ("sed", "did you mean seed?"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key: str, named: str) -> None:
    message = refusal({key: 1})
    assert f"unknown key {key}" in message
    assert named in message


@pytest.mark.parametrize("key", ["model.decoder.heads", "model.decoder.context", "model.encoder.feed_forward"])
def test_an_option_of_another_model_is_said_to_be_one(key: str) -> None:
    assert f"{key} is no option of the model that was chosen" in refusal({key: 1})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("trainer.max_steps", "many", "=many: a whole number is needed"),
        ("trainer.max_steps", "a\nb", "=a b: a whole number is needed"),
        ("trainer.max_steps", 1.5, "=1.5: a whole number is needed"),
        ("trainer.max_steps", True, "=true: a whole number is needed"),
        ("trainer.max_steps", [1], "=[1]: a whole number is needed"),
        ("trainer.batch_tokens", None, "=null: a value is needed"),
        ("trainer.optimizer.lr", "fast", "=fast: a number is needed"),
        ("model.dropout", "half", "=half: a number is needed"),
        ("data.filters.deduplicate", "perhaps", "=perhaps: true or false is needed"),
        ("data.weights", 3, ": a list is needed, as in data.weights=[…,…]"),
        ("data.name", ["a"], ": text is needed, not a list or a section"),
        ("data.name", None, "=null: a value is needed"),
    ],
)
def test_a_wrong_type_is_refused(key: str, value: Any, said: str) -> None:
    assert refusal({key: value}) == f"saved: {key}{said}"


def test_a_value_in_place_of_a_group_names_an_option_of_it() -> None:
    from seq2seq.config.compose import compose

    for value in ("5", "null"):
        with pytest.raises(
            UserError, match=r"^trainer\.optimizer is a group of options, not a value: give its options"
        ):
            compose(["experiment=lstm", f"trainer.optimizer={value}"])


def test_a_model_needs_a_name() -> None:
    assert "model.name" in refusal({"model.name": "???"})


# --------------------------------------------------------------------------------------------------------- limits


def outside(f: Any) -> list[tuple[Any, str]]:
    """Values just outside the limits of an option, each with what its refusal must name."""
    limits = f.metadata
    found: list[tuple[Any, str]] = []
    if limits["choices"]:
        found.append(("nonsense", f"choose one of {', '.join(limits['choices'])}"))
    if limits["low"] is not None:
        found.append((limits["low"] - 1, f"the smallest value is {limits['low']}"))
    if limits["above"] is not None:
        found.append((limits["above"], f"it must be above {limits['above']}"))
    if limits["high"] is not None:
        found.append((limits["high"] + 1, f"the largest value is {limits['high']}"))
    if "float" in f.type:
        found.append((math.nan, "it must be above" if limits["low"] is None else "the smallest value is"))
    return found


OUTSIDE = [(kind, key, *bad) for (kind, key), (_, f) in OPTIONS.items() for bad in outside(f)]


@pytest.mark.parametrize(("kind", "key", "value", "possible"), OUTSIDE)
def test_a_value_outside_the_limits_is_refused(kind: str, key: str, value: Any, possible: str) -> None:
    made = copy.deepcopy(OPTIONS[kind, key][0])
    *path, last = key.split(".")
    node: Any = made
    for part in path:
        node = getattr(node, part)
    setattr(node, last, value)
    with pytest.raises(UserError) as error:
        validate(made)
    assert str(error.value).startswith(f"{key}={value} ")
    assert possible in str(error.value)


def test_a_mistyped_choice_is_answered_with_the_nearest() -> None:
    message = refusal({"model.decoder.score": "additiv"})
    assert message.endswith("choose one of additive, dot, general, uniform; did you mean additive?")


@pytest.mark.parametrize(
    ("changes", "parts", "named"),
    [
        (
            {"model.encoder.heads": 3},
            ("transformer", "transformer"),
            ["model.encoder.heads=3", "model.encoder.width=128"],
        ),
        ({"model.decoder.heads": 3}, ("transformer", "transformer"), ["model.decoder.heads=3"]),
        ({"model.embedding": 64}, ("transformer", "attention"), ["model.encoder.width=128", "model.embedding=64"]),
        ({"model.embedding": 64}, ("recurrent", "transformer"), ["model.decoder.width=128", "model.embedding=64"]),
        (
            {"model.decoder.score": "dot", "model.decoder.width": 100},
            ("recurrent", "attention"),
            ["model.decoder.score=dot", "model.decoder.width=256", "100", "general"],
        ),
        (
            {"model.decoder.score": "uniform", "model.decoder.order": "after"},
            ("recurrent", "attention"),
            ["model.decoder.order=after", "model.decoder.score=uniform"],
        ),
        ({"data.subwords.joint": False}, ("recurrent", "attention"), ["model.tie=all", "data.subwords.joint=true"]),
        (
            {"data.filters.max_length": 300, "trainer.batch_tokens": 200},
            ("recurrent", "attention"),
            ["data.filters.max_length=300", "trainer.batch_tokens=200"],
        ),
        (
            {"data.grammar.min_words": 20, "data.grammar.max_words": 10},
            ("recurrent", "attention"),
            ["data.grammar.min_words=20", "data.grammar.max_words=10"],
        ),
        ({"decode.nbest": 6}, ("recurrent", "attention"), ["decode.nbest=6", "decode.beam=5"]),
        ({"decode.sample": True}, ("recurrent", "attention"), ["decode.sample=true", "evaluate or translate"]),
    ],
)
def test_what_does_not_fit_together_is_refused(
    changes: dict[str, Any], parts: tuple[str, str], named: list[str]
) -> None:
    message = refusal(changes, *parts)
    assert [name for name in named if name not in message] == []


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"model.encoder.heads": 8}, ("transformer", "transformer")),
        ({"model.decoder.score": "dot"}, ("recurrent", "attention")),
        ({"model.decoder.score": "general", "model.decoder.width": 100}, ("recurrent", "attention")),
        ({"data.subwords.joint": False, "model.tie": "output"}, ("recurrent", "attention")),
        ({"trainer.max_steps": None, "trainer.max_hours": 0.5}, ("recurrent", "attention")),
        ({"data.filters.max_length": 200, "trainer.batch_tokens": 200}, ("recurrent", "attention")),
        ({"data.grammar.min_words": 9, "data.grammar.max_words": 9}, ("recurrent", "attention")),
        ({"decode.nbest": 5}, ("recurrent", "attention")),
    ],
)
def test_what_just_fits_is_taken(changes: dict[str, Any], parts: tuple[str, str]) -> None:
    plain = changed(changes, *parts)
    assert to_plain(from_plain(plain, "saved")) == plain


def test_draws_need_no_beam() -> None:
    made = config("recurrent", "attention")
    made.decode = DecodeConfig(sample=True, nbest=9, beam=1)
    assert validate(made, trained=True) is made
    with pytest.raises(UserError, match=r"decode\.nbest=9 is above decode\.beam=1"):
        validate(replace(made, decode=DecodeConfig(nbest=9, beam=1)), trained=True)


@pytest.mark.parametrize("option", ["temperature=0.5", "top_k=4", "top_p=0.9"])
def test_what_changes_draws_alone_is_refused_without_them(option: str) -> None:
    made = config("recurrent", "attention")
    with pytest.raises(UserError, match=rf"decode\.{option.partition('=')[0]} changes .* add decode\.sample=true"):
        override(made, [f"decode.{option}"])
    assert override(made, [f"decode.{option}", "decode.sample=true"]).decode.sample


def test_nearest_says_nothing_where_nothing_is_near() -> None:
    assert nearest("beem", ["beam", "seed"]) == "; did you mean beam?"
    assert nearest("xyzzy", ["beam", "seed"]) == ""


def test_dot_fits_where_the_widths_do() -> None:
    made = config()
    made.model.decoder = AttentionDecoderConfig(score="dot", width=made.model.encoder.output_width)
    assert validate(made) is made


# ------------------------------------------------------------------------------------------------------- start-up


@pytest.mark.parametrize("module", ["schema", "validation", "compose"])
def test_a_typo_is_answered_without_torch_or_datasets(module: str) -> None:
    heavy = {"torch", "datasets", "sentencepiece", "numpy"}
    program = f"import sys, seq2seq.config.{module}; print(*{heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_learned_positions_must_cover_the_training_sentences() -> None:
    made = config("transformer", "transformer")
    made.model.encoder = TransformerEncoderConfig(positions="learned", max_positions=64)
    with pytest.raises(UserError, match=r"model\.encoder\.max_positions=64 is below data\.filters\.max_length=128"):
        validate(made)


def test_a_list_in_place_of_a_group_is_answered_with_its_options() -> None:
    """As other toolkits list training files."""
    with pytest.raises(UserError, match=r"data\.train is a group of options, not a list: give lists to its options"):
        compose(["experiment=transformer", "data.train=[{src: a, tgt: b}]"])
