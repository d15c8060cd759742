"""From options to a model: parameters, sharing, presets."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from seq2seq.config.compose import compose, options_of
from seq2seq.config.schema import EncoderConfig, ModelConfig
from seq2seq.errors import UserError
from seq2seq.models.build import build, build_decoder, parameters_by_part
from seq2seq.models.embedding import Embedding
from seq2seq.models.interface import Seq2Seq


def with_tie(tiny_models: dict[str, ModelConfig], tie: str) -> Seq2Seq:
    options = tiny_models["bahdanau"]
    return build(ModelConfig("t", options.embedding, tie, 0.0, options.encoder, options.decoder), 20, 20)


def test_parts_sum_to_the_distinct_parameters(model: Seq2Seq) -> None:
    counts = parameters_by_part(model)
    distinct = {id(p): p.numel() for p in model.parameters()}
    assert counts["total"] == sum(distinct.values())
    assert counts["total"] == sum(count for part, count in counts.items() if part != "total")


@pytest.mark.parametrize(("tie", "tables", "output"), [("all", 1, 20), ("output", 2, 20), ("none", 2, 180)])
def test_parts_count_a_shared_table_once(
    tie: str, tables: int, output: int, tiny_models: dict[str, ModelConfig]
) -> None:
    counts = parameters_by_part(with_tie(tiny_models, tie))
    assert counts["embeddings"] == tables * 20 * 8
    assert counts["output"] == output


@pytest.mark.parametrize("tie", ["all", "output", "none"])
def test_tying_shares_the_very_tables(tie: str, tiny_models: dict[str, ModelConfig]) -> None:
    model = with_tie(tiny_models, tie)
    source, target = model.encoder.embedding.weight, model.decoder.embedding.weight
    assert (source is target) == (tie == "all")
    assert (model.output.weight is target) == (tie != "none")


def test_sides_may_have_vocabularies_of_their_own(tiny_models: dict[str, ModelConfig]) -> None:
    options = tiny_models["lstm-one-direction"]
    model = build(options, 15, 30)
    hidden = model(torch.tensor([[14, 3]]), torch.tensor([[2, 29]])).hidden
    assert model.logits(hidden).shape == (1, 2, 30)


def test_a_seed_decides_every_weight(name: str, tiny_models: dict[str, ModelConfig]) -> None:
    weights = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        weights.append(nn.utils.parameters_to_vector(build(tiny_models[name], 20, 20).parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_embeddings_have_unit_scale_inside_and_unit_norm_outside(tiny_models: dict[str, ModelConfig]) -> None:
    torch.manual_seed(0)
    options = tiny_models["lstm"]
    model = build(ModelConfig("t", 64, "all", 0.0, options.encoder, options.decoder), 500, 500)
    ids = torch.arange(500)
    assert model.encoder.embedding(ids).std().item() == pytest.approx(1.0, abs=0.05)
    assert model.output.weight.norm(dim=1).mean().item() == pytest.approx(1.0, abs=0.05)


def test_a_new_model_is_close_to_uniform(name: str, tiny_models: dict[str, ModelConfig]) -> None:
    """A first loss far above ln V would say that the scale of the weights is wrong."""
    torch.manual_seed(0)
    model = build(tiny_models[name], 20, 20)
    src, tgt = torch.randint(4, 20, (8, 6)), torch.randint(4, 20, (8, 6))
    entropy = nn.functional.cross_entropy(model.logits(model(src, tgt).hidden).flatten(0, 1), tgt.flatten())
    assert entropy.item() < 2 * torch.tensor(20.0).log().item()


def preset(name: str) -> dict[str, int]:
    """Counts of a preset, without its weights."""
    with torch.device("meta"):
        return parameters_by_part(build(compose([f"model={name}"]).model, 1_000, 1_000))


SIZES = [name.removeprefix("lstm") for name in options_of("model") if name.startswith("lstm")]


@pytest.mark.parametrize(
    "size", [pytest.param(size, marks=[pytest.mark.slow] * ("wmt" in size or "iwslt" in size)) for size in SIZES]
)
def test_presets_match_in_parameters_within_two_percent(size: str) -> None:
    counts = [preset(f"{name}{size}") for name in ("lstm", "bahdanau", "transformer")]
    assert len({count["embeddings"] for count in counts}) == 1
    rest = [count["total"] - count["embeddings"] for count in counts]
    assert max(rest) / min(rest) < 1.02


def test_the_hybrid_preset_builds() -> None:
    assert preset("hybrid")["total"] > 0


def test_equal_options_make_equal_counts_but_for_the_context(tiny_models: dict[str, ModelConfig]) -> None:
    """``lstm`` and ``bahdanau`` share encoder, cell, readout and tables; the context alone differs."""
    counts = {}
    for name in ("lstm-initial", "lstm", "bahdanau", "bahdanau-general"):
        model = build(tiny_models[name], 20, 20)
        context = sum(p.numel() for p in model.decoder.context.parameters())
        counts[name] = parameters_by_part(model), context
    assert len({c["encoder"] for c, _ in counts.values()}) == 1
    assert counts["bahdanau"][0]["decoder"] - counts["bahdanau"][1] == (
        counts["bahdanau-general"][0]["decoder"] - counts["bahdanau-general"][1]
    )


@dataclasses.dataclass
class Forgotten(EncoderConfig):
    """An encoder of which somebody wrote nothing but the options."""

    type: str = "forgotten"


def test_a_forgotten_step_of_a_new_architecture_is_one_line(tiny_models: dict[str, ModelConfig]) -> None:
    model = dataclasses.replace(tiny_models["bahdanau"], encoder=Forgotten())
    with pytest.raises(UserError, match=r"^Forgotten has no builder: name one in ENCODERS of .*build\.py$"):
        build(model, 20, 20)
    with pytest.raises(UserError, match=r"^Forgotten has no output_width: add the property in .*architectures\.py$"):
        build_decoder(model, Embedding(20, 8))
