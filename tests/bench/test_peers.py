"""The peers' workers: the configs that they write for their frameworks, and short real runs where one is installed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from scripts.bench.worker import Row, Worker
from scripts.bench.workers import ctranslate2, eole, joeynmt, marian, tutorial_models

ENVIRONMENTS = Path(__file__).resolve().parents[2] / "data" / "bench" / "environments"
TRANSFORMER = {"embedding": 256, "width": 256, "layers": 3, "heads": 4, "feed_forward": 1024}
RECURRENT = {"embedding": 256, "encoder": 256, "decoder": 512, "attention": 256}
WORDS = [f"▁w{number}" for number in range(40)]
LENGTH = 7


def spec_of(model: str = "transformer", **changes: Any) -> dict[str, Any]:
    plain = {"task": "train", "precision": "fp32", "device": "cpu", "threads": 1, "seed": 1, "model": model}
    training = {"lr": 1e-3, "warmup": 100, "clip_norm": 1.0, "dropout": 0.1, "label_smoothing": 0.1}
    size = TRANSFORMER if model == "transformer" else RECURRENT
    where = {"data": "/data", "scratch": "/scratch", "run": None, "export": None}
    return {**plain, **training, **where, "batch_tokens": 2_000, "vocabulary": 8_000, "size": size, **changes}


def test_everybody_gets_the_sizes_of_the_spec() -> None:
    spec = spec_of()
    hf = marian.options_of(spec)["model"]
    assert (hf["vocab_size"], hf["d_model"], hf["encoder_layers"], hf["decoder_ffn_dim"]) == (8_000, 256, 3, 1024)
    assert hf["dropout"] == hf["activation_dropout"] == 0.1
    theirs = eole.config_of(spec, pairs=10)["model"]
    assert (theirs["hidden_size"], theirs["layers"], theirs["heads"], theirs["transformer_ff"]) == (256, 3, 4, 1024)
    assert theirs["share_embeddings"] and theirs["share_decoder_embeddings"]
    joey = joeynmt.config_of(spec)["model"]
    assert joey["tied_embeddings"] and joey["tied_softmax"]
    for side in ("encoder", "decoder"):
        assert (joey[side]["hidden_size"], joey[side]["num_layers"], joey[side]["ff_size"]) == (256, 3, 1024)


def test_nobody_drops_attention_weights() -> None:
    """Ours does not, and it costs time."""
    assert marian.options_of(spec_of())["model"]["attention_dropout"] == 0
    assert eole.config_of(spec_of(), pairs=10)["training"]["attention_dropout"] == [0]
    tutorial = tutorial_models.build("transformer", 20, {**TRANSFORMER, "layers": 1}, 0.1)
    found = [module.dropout for module in tutorial.modules() if isinstance(module, nn.MultiheadAttention)]
    assert found == [0.0] * 3


def test_eole_searches_greedily_with_one_path() -> None:
    assert eole.GREEDY == {"top_k": 1, "beam_size": 1}


def test_recurrent_models_have_the_widths_of_the_spec() -> None:
    theirs = eole.config_of(spec_of("bahdanau"), pairs=10)["model"]
    assert theirs["hidden_size"] == 512  # of which the encoder has half in each direction
    assert theirs["decoder"]["global_attention"] == "mlp" and theirs["input_feed"] == 1
    assert eole.config_of(spec_of("lstm"), pairs=10)["model"]["decoder"]["global_attention"] is None
    with pytest.raises(ValueError, match="as wide as both directions"):
        eole.config_of(spec_of("lstm", size={**RECURRENT, "decoder": 500}), pairs=10)
    joey = joeynmt.config_of(spec_of("bahdanau"))["model"]
    assert (joey["encoder"]["hidden_size"], joey["decoder"]["hidden_size"]) == (256, 512)
    assert joey["decoder"]["attention"] == "bahdanau"


def test_everybody_gets_the_same_optimiser_and_budget() -> None:
    spec = spec_of(lr=2e-3, warmup=50)
    hf = marian.options_of(spec, sentences=120)["training"]
    assert (hf["learning_rate"], hf["adam_beta2"], hf["max_grad_norm"], hf["warmup_steps"]) == (2e-3, 0.98, 1.0, 50)
    theirs = eole.config_of(spec, pairs=10_000)["training"]
    assert (theirs["batch_type"], theirs["batch_size"], theirs["adam_beta2"]) == ("tokens", 2_000, 0.98)
    assert theirs["bucket_size"] == 10_000
    joey = joeynmt.config_of(spec)["training"]
    assert (joey["batch_type"], joey["batch_size"], joey["adam_betas"]) == ("token", 2_000, [0.9, 0.98])
    assert joey["learning_rate"] == 2e-3 and joey["label_smoothing"] == 0.1


def test_eole_keeps_the_moving_average_that_is_asked_for() -> None:
    """Its decay is the share of the new weights, ours that of the old ones."""
    assert eole.config_of(spec_of(), pairs=10)["training"]["average_decay"] == 0
    assert eole.config_of(spec_of(ema=0.99), pairs=10)["training"]["average_decay"] == pytest.approx(0.01)


def test_eoles_noam_peaks_at_the_rate_of_the_spec() -> None:
    chosen = eole.schedule(spec_of(lr=2e-3, warmup=50))
    assert chosen["learning_rate"] * 256**-0.5 * 50**-0.5 == pytest.approx(2e-3)
    cosine = eole.schedule(spec_of(schedule="cosine", max_tokens=1_000_000))
    assert cosine["decay_method"] == "cosine" and 500 < cosine["train_steps"] < 1_000


def test_precisions() -> None:
    assert marian.options_of(spec_of(precision="bf16"), sentences=1)["training"]["bf16"] is True
    assert eole.config_of(spec_of(precision="bf16"), pairs=1)["training"]["compute_dtype"] == "bf16"
    assert ctranslate2.compute_type(spec_of(precision="int8"), {"int8", "float32"}) == "int8"
    with pytest.raises(ValueError, match="no bfloat16 on this cpu, only float32"):
        ctranslate2.compute_type(spec_of(precision="bf16"), {"float32"})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of 200 pairs of 2–9 words, the target being the source reversed."""
    folder = tmp_path_factory.mktemp("peers")
    draw = random.Random(1)
    rows = [[draw.choice(WORDS) for _ in range(draw.randint(2, 9))] for _ in range(200)]
    vocabulary = ["<pad>", "<unk>", "<s>", "</s>", *WORDS]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary), encoding="utf-8")
    arrays: dict[str, Any] = {}
    for side, step in (("src", 1), ("tgt", -1)):
        text = "".join(" ".join(row[::step]) + "\n" for row in rows)
        for split in ("train", "valid", "test"):
            (folder / f"{split}.tokens.{side}").write_text(text, encoding="utf-8")
        ids = [[vocabulary.index(token) for token in row[::step]] + [3] for row in rows]
        arrays[side] = np.concatenate(ids)
        arrays[f"{side}_offsets"] = np.cumsum([0, *map(len, ids)])
    np.savez(folder / "train.ids.npz", **arrays)
    return folder


@pytest.fixture
def running(corpus: Path, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts a peer's worker on the corpus with a tiny model; skips where the peer is not installed."""
    workers = []

    def start(peer: str, model: str, **changes: Any) -> Worker:
        python = ENVIRONMENTS / peer / "bin" / "python"
        if not (ENVIRONMENTS / peer / "installed").exists():
            pytest.skip(f"{peer} is not installed (make bench installs it)")
        transformer = {"embedding": 16, "width": 16, "layers": 1, "heads": 2, "feed_forward": 32}
        recurrent = {"embedding": 16, "encoder": 8, "decoder": 16, "attention": 16}
        size = transformer if model == "transformer" else recurrent
        tiny = {"vocabulary": 44, "batch_tokens": 200, "lr": 0.01, "warmup": 20}
        spec = spec_of(model, data=str(corpus), size=size, **tiny, **changes)
        command = [str(python), "-m", f"scripts.bench.workers.{peer}"]
        workers.append(Worker(Row(peer, spec["precision"], command, spec, tmp_path)))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


TRAINING = [
    ("marian", "transformer"),
    ("joeynmt", "bahdanau"),
    ("eole", "transformer"),
    ("eole", "lstm"),
]
DECODING = [
    ("marian", "transformer", 2),
    ("joeynmt", "transformer", 2),
    ("eole", "bahdanau", 1),
]


@pytest.mark.parametrize(("peer", "model"), TRAINING)
def test_a_peer_trains(running: Callable[..., Worker], peer: str, model: str) -> None:
    worker = running(peer, model)
    assert worker.ask(None, 300)["parameters"] > 1_000
    check = worker.ask({"check": True}, 60)["check"]
    assert check["own"] == pytest.approx(check["recomputed"], rel=1e-4)
    first = worker.ask({"seconds": 0.3}, 60)
    assert first["tokens"] > first["updates"] > 0 and first["first_update_seconds"] > 0
    assert check["own"] == pytest.approx(math.log(44), abs=1.5)
    worker.ask({"seconds": 1.0}, 60)
    assert worker.ask({"check": True}, 60)["check"]["own"] < check["own"]
    found = worker.ask({"translate": [WORDS[:4], WORDS[:1]]}, 60)["translate"]
    assert len(found) == 2 and all(token in [*WORDS, "<unk>"] for row in found for token in row)
    json.dumps(found)


@pytest.mark.parametrize(("peer", "model", "beam"), DECODING)
def test_a_peer_decodes(running: Callable[..., Worker], peer: str, model: str, beam: int) -> None:
    worker = running(peer, model, task="decode", decode={"beam": beam, "batch": 8, "length": LENGTH})
    worker.ask(None, 300)
    answer = worker.ask({"seconds": 0.3}, 60)  # the worker itself refuses hypotheses of another length
    assert answer["tokens"] == answer["updates"] * 8 * LENGTH > 0
