"""The measurement "attention": exact on a model whose attention is known, invariant on random ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2seq.analysis import attention_maps, faithfulness
from seq2seq.analysis.attention_maps import Sharpness, forced_attention, measure
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import (
    BOS,
    PAD,
    UNK,
    Config,
    DataConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from seq2seq.data import batches
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.alignment import Gold, Links
from seq2seq.evaluation.words import encode_pairs, words_of_tokens
from seq2seq.models.interface import AttentionOverride, DecoderOutput, Seq2Seq
from seq2seq.runs.run import Run

LINES = ["the cat sees a small dog .", "our old house", "home", "runs home quickly", "a dog , a cat"]


class Copier(nn.Module):
    """Says the source over again: at step t it looks at token t + ``shift`` alone and is ten nats for that token.

    With ``idle`` maps beside it that look everywhere alike.
    """

    def __init__(self, vocab: int, shift: int = 0, idle: int = 0) -> None:
        super().__init__()
        self.vocab, self.shift, self.idle = vocab, shift, idle

    def forward(self, src: Tensor, tgt_in: Tensor, attention: bool = False) -> DecoderOutput:
        steps = torch.arange(tgt_in.shape[1])
        last = src.shape[1] - 1
        read = src[:, steps.clamp(max=last)]
        look = nn.functional.one_hot((steps + self.shift).clamp(0, last), src.shape[1]).float()
        even = (src != PAD).float() / (src != PAD).sum(1, keepdim=True)
        maps = [look.expand(len(src), -1, -1)] + [even[:, None].expand(-1, len(steps), -1)] * self.idle
        return DecoderOutput(nn.functional.one_hot(read, self.vocab).float(), torch.stack(maps, 1))

    def logits(self, hidden: Tensor) -> Tensor:
        return 10 * hidden

    def overridden_attention(self, override: AttentionOverride | None) -> AbstractContextManager[None]:
        return nullcontext()


Tiny = Callable[[str], tuple[Seq2Seq, ModelConfig]]


@pytest.fixture
def tiny(build_tiny: Callable[..., Seq2Seq], tiny_models: dict[str, ModelConfig]) -> Tiny:
    """A tiny model and its options, by name."""
    return lambda name: (build_tiny(name, vocab=320), tiny_models[name])


def copier(shift: int = 0, idle: int = 0) -> tuple[Copier, ModelConfig]:
    """A ``Copier`` and options that say how many maps it has."""
    decoder = TransformerDecoderConfig(layers=1 + idle, heads=1)
    return Copier(320, shift, idle), ModelConfig("copier", encoder=TransformerEncoderConfig(), decoder=decoder)


def run_of(
    model: nn.Module,
    options: ModelConfig,
    subwords: Subwords,
    src: Sequence[str],
    references: Sequence[str],
    links: list[Links] | list[Gold] | None,
    valid: tuple[list[str], list[str]] = ([], []),
    source: str = "grammar",
) -> LoadedRun:
    translator = Translator([model], subwords, torch.device("cpu"))  # type: ignore[list-item]
    config = Config(data=DataConfig(source=source), model=options)
    gold = links and [pair if isinstance(pair, Gold) else Gold(pair, pair) for pair in links]
    return LoadedRun(Run(Path("run")), config, translator, list(src), list(references), valid, gold)


def diagonal(lines: Sequence[str]) -> list[Links]:
    return [{(n, n) for n in range(len(line.split()))} for line in lines]


MEAN = [{"map": "mean"}]
VALID = (["", *LINES], ["", *LINES])


@pytest.fixture
def valid_gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus whose validation split, ``VALID``, has a gold alignment along the diagonal."""
    links = (" ".join(f"{i}-{j}" for i, j in sorted(pair)) for pair in diagonal(VALID[0]))
    (tmp_path / "valid.align").write_text("".join(f"{line}\n" for line in links))
    monkeypatch.setattr(attention_maps, "gold_file", lambda _, split, pairs: tmp_path / f"{split}.align")


@pytest.fixture
def no_valid_gold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_maps, "gold_file", lambda _, split, pairs: None)


@pytest.fixture
def text(pairs: list[tuple[str, str]]) -> tuple[list[str], list[str], list[Links]]:
    """Twelve pairs and an empty one, and links along the diagonal."""
    src, references = ([side, *rest] for side, *rest in zip(("", "Haus"), *pairs[:12], strict=True))
    lengths = [min(len(a.split()), len(b.split())) for a, b in zip(src, references, strict=True)]
    return src, references, [{(n, n) for n in range(length)} for length in lengths]


# ------------------------------------------------------------------------------------------- a known attention


def test_a_model_that_looks_where_it_reads_aligns_without_error_and_depends_on_that_word_alone(
    tiny_subwords: Subwords, valid_gold: None
) -> None:
    run = run_of(*copier(), tiny_subwords, LINES, LINES, diagonal(LINES), VALID)
    found = measure(run)
    assert json.loads(json.dumps(found)) == found
    before, after = found["alignment"]
    assert [before[key] for key in ("map", "state", "aer", "precision", "recall")] == ["mean", "before", 0, 1, 1]
    assert before["aer_words"] == 0
    assert after["state"] == "after" and after["aer"] > 0.2
    assert found["chosen"]["state"] == "before"
    [sharpness] = found["maps"]
    assert sharpness["coverage"] == 1 and sharpness["outside"] == 0
    for arm in ("attended", "gold"):
        effect = found["masking"][arm]
        assert effect["positions"] == found["masking"]["drawn"] > 20
        assert effect["log_probability"] == pytest.approx(10 - math.log(math.exp(10) + 319), abs=1e-6)
        assert effect["word"]["change"] == pytest.approx(-10, abs=1e-5)
        assert effect["word"]["standard_error"] == pytest.approx(0, abs=1e-6)
        assert effect["word"]["prediction_changes"] == 1
        assert effect["random"] == {"change": 0, "standard_error": 0, "prediction_changes": 0}
        assert effect["difference"]["change"] == pytest.approx(-10, abs=1e-5)


def test_possible_links_are_no_errors_and_need_not_be_found(tiny_subwords: Subwords, valid_gold: None) -> None:
    """Och and Ney (2003): precision asks for possible links, recall for sure ones."""
    gold = [Gold(pair, pair | {(0, n) for n in range(len(pair))}) for pair in diagonal(LINES)]
    found = measure(run_of(*copier(), tiny_subwords, LINES, LINES, gold, VALID))
    for row in (found["alignment"][0], found["bounds"][0]):
        assert (row["aer"], row["precision"], row["recall"]) == (0, 1, 1)
    gold = [Gold({(0, 0)}, pair) for pair in diagonal(LINES)]
    found = measure(run_of(*copier(), tiny_subwords, LINES, LINES, gold, VALID))
    assert (found["alignment"][0]["aer"], found["alignment"][0]["recall"]) == (0, 1)


def test_a_model_that_looks_one_step_ahead_of_its_query_aligns_after_the_step(
    tiny_subwords: Subwords, valid_gold: None
) -> None:
    """Row i + 1 looks at token i: right after the step, and looking there is not what the prediction hangs on."""
    run = run_of(*copier(shift=-1), tiny_subwords, LINES, LINES, diagonal(LINES), VALID)
    found = measure(run)
    before, after = found["alignment"]
    assert after["aer"] == 0 and before["aer"] > 0.2
    assert found["chosen"] == {**after, "valid_sentences": len(LINES), "valid_aer_words": 0}
    assert found["masking"]["gold"]["word"]["prediction_changes"] == 1
    assert found["masking"]["attended"]["word"]["prediction_changes"] < 1


def test_maps_are_told_apart_and_the_best_is_chosen_on_the_validation_split(
    tiny_subwords: Subwords, valid_gold: None
) -> None:
    run = run_of(*copier(idle=2), tiny_subwords, LINES, LINES, diagonal(LINES), VALID)
    found = measure(run)
    names = ["mean", "layer 1 head 1", "layer 2 head 1", "layer 3 head 1"]
    assert [row["map"] for row in found["maps"]] == names
    assert [(row["map"], row["state"]) for row in found["alignment"]] == [
        (name, state) for name in names for state in ("before", "after")
    ]
    assert found["alignment"][2]["aer"] == 0 < found["alignment"][4]["aer"]
    assert found["chosen"]["map"] in ("mean", "layer 1 head 1") and found["chosen"]["aer_words"] == 0
    mean, sharp, even, _ = found["maps"]
    assert sharp["entropy"] < mean["entropy"] < even["entropy"]
    assert sharp["outside"] == 0 < even["outside"]
    assert found["masking"]["attended"]["word"]["prediction_changes"] == 1  # the mean of the maps still sees the word


def test_the_test_split_has_no_say_in_which_map_is_chosen(tiny_subwords: Subwords, valid_gold: None) -> None:
    ahead = [{(i + 1, i) for i, _ in links} for links in diagonal(LINES)]
    found = measure(run_of(*copier(), tiny_subwords, LINES, LINES, ahead, VALID))
    before, after = found["alignment"]
    assert after["aer_words"] < before["aer_words"]
    assert found["chosen"] == {**before, "valid_sentences": len(LINES), "valid_aer_words": 0}


def test_entropy_and_coverage_of_weights_worked_by_hand() -> None:
    """Two pairs. 2 × 4 words: one row on one word, one on two alike; 1 × 1 words, where a fifth goes elsewhere."""
    sharpness = Sharpness()
    sharpness.add(torch.tensor([[[1.0, 0, 0, 0], [0, 0.4, 0.4, 0], [0, 0, 0, 0]]]))  # the third word has no token
    sharpness.add(torch.tensor([[[0.8]]]))
    [found] = sharpness.figures(MEAN)
    assert found["entropy"] == pytest.approx((0 + math.log(2) + 0) / 3)
    assert found["entropy_share"] == pytest.approx((0 + 0.5) / 2)  # of one word alone there is no share
    assert found["outside"] == pytest.approx((0 + 0.2 + 0.2) / 3)
    assert found["coverage"] == pytest.approx(4 / 5)  # they get 2, 0.8, 0.8, 0 even shares, and 0.8
    mean = 3.6 / 4
    spread = math.sqrt(sum((x - mean) ** 2 for x in (2, 0.8, 0.8, 0)) / 4)
    assert found["spread"] == pytest.approx((spread + 0) / 2)


def test_even_attention_has_the_highest_entropy_and_covers_all() -> None:
    sharpness = Sharpness()
    sharpness.add(torch.full((2, 3, 5), 1 / 5))
    for found in sharpness.figures([*MEAN, {"map": "layer 1 head 1", "layer": 1, "head": 1}]):
        assert found["entropy"] == pytest.approx(math.log(5)) and found["entropy_share"] == pytest.approx(1)
        assert found["coverage"] == 1 and found["spread"] == pytest.approx(0, abs=1e-6)


def test_no_argmax_is_better_than_the_best_single_links() -> None:
    """Three gold links of two target words, and a third word without any: 2 of 3 links hit, 2 of 3 are found."""
    src, tgt = [["the", "cat", "sees"], ["home"]], [["die", "Katze", "sieht"], ["heim"]]
    best, diagonal = attention_maps.bounds([Gold(one, one) for one in ({(2, 0), (0, 1), (1, 1)}, set())], src, tgt)
    assert best["map"] == "the best single links" and best["precision"] == 2 / 4 and best["recall"] == 2 / 3
    assert best["aer"] == pytest.approx(1 - 4 / 7)
    assert diagonal["map"] == "the diagonal" and diagonal["recall"] == 1 / 3  # (1, 1)


# ------------------------------------------------------------------------------------------------ random models


def test_the_options_of_a_decoder_say_what_its_model_does(
    name: str, build_tiny: Callable[..., Seq2Seq], tiny_models: dict[str, ModelConfig]
) -> None:
    model, options = build_tiny(name), tiny_models[name]
    src, begin = torch.tensor([[5, 3]]), torch.tensor([[BOS]])
    with torch.inference_mode():
        vector, maps = model.decoder.bottleneck(model.encode(src)), model(src, begin, attention=True).attention
    assert len(options.attention_maps) == (0 if maps is None else maps.shape[1])
    if options.sees == "nothing":
        return
    assert options.vector_width == (0 if vector is None else vector.shape[1])
    assert (options.sees == "vector") == (vector is not None) == (options.vectors == 1)


def test_forced_attention_is_that_of_one_pair_at_a_time(
    name: str,
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    pairs: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build_tiny(name, vocab=320)
    translator = Translator([model], tiny_subwords, torch.device("cpu"))
    src, references = ([*side, "", "Zoë 👍"] for side in zip(*pairs[:6], strict=True))
    if not tiny_models[name].attention_maps:
        return
    for positions in (1, 64, 4_000):
        monkeypatch.setattr(batches, "SCORED_POSITIONS", positions)
        encoded = encode_pairs(tiny_subwords, src, references, str.split)
        found = dict(forced_attention(translator, encoded))
        assert sorted(found) == list(range(len(src)))
        for n, attention in found.items():
            [ids], [tgt] = tiny_subwords.encode_src([src[n]]), tiny_subwords.encode_tgt([references[n]])
            with torch.inference_mode():
                alone = model(torch.tensor([ids]), torch.tensor([[BOS, *tgt[:-1]]]), attention=True).attention[0]
            torch.testing.assert_close(attention, alone, atol=1e-5, rtol=1e-4)
            assert encoded[n].src == words_of_tokens(tiny_subwords.src_tokens(ids), src[n], src[n].split())
            assert encoded[n].tgt.words == references[n].split()


def close(found: Any, expected: Any) -> None:
    """Equal but for rounding, whatever lies within what."""
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert found.keys() == expected.keys()
        for key in found:
            close(found[key], expected[key])
    elif isinstance(found, list):
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    else:
        assert found == (pytest.approx(expected, abs=1e-4) if isinstance(found, float) else expected)


def test_batches_and_padding_change_nothing(
    telling: str,
    tiny: Tiny,
    tiny_subwords: Subwords,
    text: tuple[list[str], list[str], list[Links]],
    no_valid_gold: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faithfulness, "POSITIONS", 20)
    run = run_of(*tiny(telling), tiny_subwords, *text)
    whole = measure(run)
    assert whole["attention"] == ("maps" in whole) == ("alignment" in whole) == ("attended" in whole["masking"])
    assert whole["sentences"] == 12  # not the empty one
    assert whole["masking"]["drawn"] == 20 >= whole["masking"]["gold"]["positions"] > 10
    monkeypatch.setattr(batches, "SCORED_POSITIONS", 1)
    close(measure(run), whole)


def test_the_order_of_the_sentences_changes_no_figure_of_alignment_or_coverage(
    tiny: Tiny,
    tiny_subwords: Subwords,
    text: tuple[list[str], list[str], list[Links]],
    no_valid_gold: None,
) -> None:
    model = tiny("transformer")
    forwards = measure(run_of(*model, tiny_subwords, *text))
    backwards = measure(run_of(*model, tiny_subwords, *(side[::-1] for side in text)))
    for key in ("alignment", "maps", "sentences"):
        close(backwards[key], forwards[key])


def test_text_without_gold_has_no_alignment_figures(
    tiny: Tiny, tiny_subwords: Subwords, text: tuple[list[str], list[str], list[Links]]
) -> None:
    src, references, _ = text
    found = measure(run_of(*tiny("hybrid"), tiny_subwords, src, references, None, source="text"))
    assert found.keys() == {"attention", "sentences", "maps", "masking"}
    assert found["masking"].keys() == {"drawn", "attended", "zeroed"}
    found = measure(run_of(*tiny("lstm"), tiny_subwords, src, references, None, source="text"))
    assert found == {"attention": False, "sentences": 12, "masking": {"drawn": found["masking"]["drawn"]}}


def test_all_models_are_asked_for_the_same_words(
    tiny: Tiny,
    tiny_subwords: Subwords,
    text: tuple[list[str], list[str], list[Links]],
    no_valid_gold: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    real = faithfulness.predict

    def watched(translator: Translator, sources: Any, targets: Any, *zeroed: Any) -> Any:
        asked.append((sources, targets))
        return real(translator, sources, targets, *zeroed)

    monkeypatch.setattr(faithfulness, "predict", watched)
    for name in ("lstm", "bahdanau", "transformer"):
        measure(run_of(*tiny(name), tiny_subwords, *text))
    lstm, bahdanau, transformer = asked[0], asked[2], asked[5]  # with attention, first attended, then gold, then zeroed
    assert lstm == bahdanau == transformer
    for base, word, other in zip(lstm[0][::3], lstm[0][1::3], lstm[0][2::3], strict=True):
        changed = [[n for n, (a, b) in enumerate(zip(base, arm, strict=True)) if a != b] for arm in (word, other)]
        assert all(changed) and not set(changed[0]) & set(changed[1])
        assert {word[n] for n in changed[0]} == {other[n] for n in changed[1]} == {UNK}
