"""Guided attention: links of words become links of tokens, and attention learns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq.config.schema import Config, DataConfig, FilterConfig, GrammarConfig, SubwordConfig
from seq2seq.config.validation import validate
from seq2seq.data.batches import BatchStream, share_of
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import parse_links
from seq2seq.evaluation.words import Pair, Words, splitter, words_of_tokens
from seq2seq.models.loss import attention_loss
from seq2seq.system.processes import Group
from seq2seq.training import guidance
from seq2seq.training.guidance import token_links, training_links
from seq2seq.training.trainer import Trainer

MakeConfig = Callable[..., Config]
Start = Callable[[Config, Path], Trainer]


@pytest.fixture(scope="module")
def grammar_data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """A hundred pairs of the grammar, of which those of more than 24 tokens are dropped."""
    cache = tmp_path_factory.mktemp("cache")
    options = GrammarConfig(pairs=100, valid=4, test=4, max_words=20)
    return DataConfig(
        cache=str(cache),
        grammar=options,
        filters=FilterConfig(max_length=24, deduplicate=True),
        subwords=SubwordConfig(vocab_size=400),
    )


def test_the_tokens_of_a_word_share_its_links() -> None:
    pair = Pair([], [], Words(["a", "b", "c"], [0, 1, 1, 2, None]), Words(["u", "v"], [0, 0, 1, None]))
    places = token_links(pair, {(1, 0), (2, 1)})
    assert sorted(zip(places[::2], places[1::2], strict=True)) == [(0, 1), (0, 2), (1, 1), (1, 2), (2, 3)]


def words_linked(
    corpus: Corpus, row: int, shares: torch.Tensor, data: DataConfig, text: tuple[str, str]
) -> set[tuple[int, int]]:
    """The links of words that the shares (T, S) of a pair's tokens come from."""
    tokens = corpus.subwords.src_tokens(corpus.splits["train"].src[row].tolist())
    src = words_of_tokens(tokens, text[0], splitter(Config(data=data), [text[0]])(text[0]))
    tokens = corpus.subwords.tgt_tokens(corpus.splits["train"].tgt[row].tolist())
    tgt = words_of_tokens(tokens, text[1], splitter(Config(data=data), [text[1]])(text[1]))
    return {(src.of_token[s], tgt.of_token[t]) for t, s in shares.nonzero().tolist()}  # type: ignore[misc]


def test_batches_have_the_gold_links_of_their_pairs_although_some_were_dropped(grammar_data: DataConfig) -> None:
    corpus = prepare(grammar_data)
    train, source = corpus.splits["train"], open_source(grammar_data, "train")
    assert 10 < len(train) < 100
    links = training_links(Config(data=grammar_data), corpus)
    file = source.alignment_file("train")
    assert file is not None
    lines = file.read_text().splitlines()
    gold = {pair: parse_links(line) for pair, line in zip(source.pairs("train"), lines, strict=True)}
    texts = {
        tuple(map(tuple, (src, tgt))): pair
        for pair in gold
        for src, tgt in [(corpus.subwords.encode_src([pair[0]])[0], corpus.subwords.encode_tgt([pair[1]])[0])]
    }
    batches = BatchStream(replace(train, links=links), 200, seed=1, multiple=4)
    seen = 0
    for _ in range(len(batches.planned)):
        rows = batches.planned[batches.batch_number]
        batch = next(batches)
        assert batch.links is not None and batch.links.shape == (*batch.tgt_out.shape, batch.src.shape[1])
        sums = batch.links.sum(-1)
        assert torch.all((sums - 1).abs().lt(1e-6) | sums.eq(0))
        for row, shares in zip(rows.tolist(), batch.links, strict=True):
            text = texts[tuple(train.src[row].tolist()), tuple(train.tgt[row].tolist())]
            assert words_linked(corpus, row, shares, grammar_data, text) == gold[text]
            seen += 1
    assert seen == len(train)


def test_links_are_made_once(grammar_data: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, config = prepare(grammar_data), Config(data=grammar_data)
    found = training_links(config, corpus)
    monkeypatch.setattr(guidance, "encode_pairs", lambda *_: pytest.fail("they were there"))
    assert training_links(config, corpus).values.tolist() == found.values.tolist()
    (corpus.folder / "links" / "links.offsets.npy").write_bytes(b"")
    with pytest.raises(UserError, match="links is damaged"):
        training_links(config, corpus)
    (corpus.folder / "links" / "links.offsets.npy").unlink()
    (corpus.folder / "links" / "links.uint16").unlink()
    (corpus.folder / "links").rmdir()


def test_places_beyond_sixteen_bits_are_kept(grammar_data: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    data = replace(grammar_data, filters=FilterConfig(max_length=70_000))
    monkeypatch.setattr(guidance, "token_links", lambda *_: [69_999, 65_536])
    found = training_links(Config(data=data), prepare(data))
    assert found[0].tolist() == [69_999, 65_536]


class OneOfTwo(Group):
    """The place of one process beside another."""

    def __init__(self, rank: int) -> None:
        self.rank, self.world = rank, 2


def attended(trainer: Trainer) -> float:
    """The loss of attention, a target token, over the training batches of one pass."""
    batches = BatchStream(trainer.batches.split, 500, seed=1, multiple=1)
    total = tokens = 0.0
    with torch.inference_mode():
        for batch in [next(batches) for _ in range(len(batches.planned))]:
            maps = trainer.model(batch.src, batch.tgt_in, attention=True).attention
            total += float(attention_loss(maps[:, trainer.config.model.guided_map], batch.links))
            tokens += batch.tokens
    return total / tokens


@pytest.mark.parametrize("model", ["bahdanau", "transformer", pytest.param("hybrid", marks=pytest.mark.slow)])
def test_attention_learns_the_gold_links(
    model: str, grammar_data: DataConfig, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    def trained(weight: float) -> float:
        options = {"guided_attention": weight, "max_steps": 60, "lr": 0.02, "warmup_steps": 2, "valid_every": 1_000}
        trainer = start(validate(toy_config(model, grammar_data, batch_tokens=300, **options)), tmp_path / f"{weight}")
        trainer.train()
        if not weight:
            links = training_links(trainer.config, trainer.corpus)
            trainer.batches.split = replace(trainer.batches.split, links=links)
        return attended(trainer)

    assert trained(4.0) < trained(0.0) - 0.1


def test_several_batches_weigh_as_one(
    grammar_data: DataConfig, toy_config: MakeConfig, start: Start, tmp_path: Path
) -> None:
    """The loss of attention too is divided by the target tokens of all batches of an update."""
    trainer = start(toy_config("bahdanau", grammar_data, guided_attention=0.5, batch_tokens=300), tmp_path / "run")
    batch = next(trainer.batches)
    halves = [share_of(batch, OneOfTwo(rank)) for rank in (0, 1)]
    whole = trainer.updater._losses(batch)[0]
    parts = [trainer.updater._losses(half)[0] for half in halves]
    torch.testing.assert_close(sum(parts), whole)
    assert whole > trainer.updater._losses(batch._replace(links=None))[0]


@pytest.mark.parametrize(
    ("model", "change", "said"),
    [
        ("lstm", {}, "which model tiny has not"),
        ("transformer-slots", {}, "which model tiny has not"),
        ("bahdanau", {"source": "text"}, "which data.source=text has not"),
        ("bahdanau", {"subwords": SubwordConfig(sampling=0.1)}, "data.subwords.sampling do not go together"),
        ("bahdanau", {"filters": FilterConfig(drop="x.txt")}, "data.filters.drop do not go together"),
    ],
)
def test_what_cannot_be_guided_is_refused_in_a_line(
    model: str, change: dict[str, object], said: str, grammar_data: DataConfig, toy_config: MakeConfig
) -> None:
    config = toy_config(model, replace(grammar_data, **change), guided_attention=1.0)  # type: ignore[arg-type]
    with pytest.raises(UserError) as caught:
        validate(config)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_guided_map_is_the_first_of_the_last_layer_but_one(toy_config: MakeConfig) -> None:
    decoder = toy_config("transformer").model.decoder
    model = toy_config("transformer").model
    maps = [replace(model, decoder=replace(decoder, layers=layers)) for layers in (1, 2, 6)]  # type: ignore[type-var]
    assert [each.guided_map for each in maps] == [0, 0, 8]
    assert [each.attention_maps[each.guided_map] for each in maps] == [(1, 1), (1, 1), (5, 1)]
