"""What holds for any input, drawn at random from fixed seeds: each pair once an epoch, and what is written is read."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from seq2seq.config.schema import DECODERS, ENCODERS, Config, ModelConfig
from seq2seq.config.validation import from_plain, sections, to_plain
from seq2seq.data.batches import MULTIPLE, plan, round_up
from seq2seq.data.ragged import RaggedArray, RaggedWriter
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import links_of, parse_links, read_gold
from seq2seq.runs.run import Run

SEEDS = range(12)
ALPHABET = "abc öß\u0301é日한👩‍🚀\u202e\u00a0\u200b\t\x01<>&'\"\\1٣½"


@pytest.mark.parametrize("seed", SEEDS)
def test_each_pair_is_in_one_batch_of_an_epoch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, longest, budget = int(rng.integers(1, 400)), int(rng.integers(1, 150)), int(rng.integers(8, 3_000))
    lengths = rng.integers(1, longest + 1, (count, 2))
    multiple = (1, MULTIPLE)[seed % 2]
    batches = plan(lengths, budget, seed, shard=seed % 3, multiple=multiple)
    assert sorted(row for rows in batches for row in rows.tolist()) == list(range(count))
    assert all(len(rows) == 1 or len(rows) * round_up(lengths[rows], multiple).max() <= budget for rows in batches)


@pytest.mark.parametrize("seed", SEEDS)
def test_ragged_arrays_give_back_what_was_written(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    dtype, most = [("uint8", 256), ("uint16", 1 << 16), ("int32", 1 << 31)][seed % 3]
    rows = [rng.integers(0, most, int(rng.integers(0, 9))).tolist() for _ in range(int(rng.integers(0, 60)))]
    writer = RaggedWriter(tmp_path, "x", dtype)
    for start in range(0, len(rows), 7):
        chunk = rows[start : start + 7]
        writer.extend([bytes(row) for row in chunk] if dtype == "uint8" else chunk)
    writer.close()
    read = RaggedArray(tmp_path, "x", dtype)
    assert [read[row].tolist() for row in range(len(read))] == rows


@pytest.mark.parametrize("seed", SEEDS)
def test_subwords_give_back_any_text(seed: int, tiny_subwords: Subwords) -> None:
    draw = random.Random(seed)
    lines = ["".join(draw.choices(ALPHABET, k=draw.randrange(40))) for _ in range(30)]
    assert tiny_subwords.decode_tgt(tiny_subwords.encode_tgt(lines)) == [
        unicodedata.normalize("NFC", line) for line in lines
    ]


def changed(value: Any, limits: dict[str, Any], draw: random.Random) -> Any:
    """Another value of the kind, often within the limits."""
    if limits.get("choices"):
        return draw.choice(list(limits["choices"]))
    if isinstance(value, bool):
        return draw.random() < 0.5
    if isinstance(value, int):
        return value + draw.randrange(3)
    if isinstance(value, float):
        return value * draw.choice((0.5, 1.0, 1.01)) + draw.choice((0.0, 1e-9))
    return "".join(draw.choices(ALPHABET.replace("$", "").replace("\x01", ""), k=draw.randrange(1, 9)))


@pytest.mark.parametrize(
    ("seed", "each"), [(SEEDS[0], 2), *(pytest.param(seed, 1, marks=pytest.mark.slow) for seed in SEEDS)]
)
def test_a_config_that_is_possible_is_read_as_it_was_saved(seed: int, each: int, tmp_path: Path) -> None:
    """In the ordinary suite every second option is changed."""
    draw = random.Random(seed)
    parts = draw.choice(list(ENCODERS.values())), draw.choice(list(DECODERS.values()))
    config = Config(model=ModelConfig(name="m", encoder=parts[0](), decoder=parts[1]()))
    config.trainer.max_steps = 1
    plain, taken = to_plain(config), 0
    for key, field, value in list(sections(config))[::each]:
        *path, last = key.split(".")
        node = plain
        for name in path:
            node = node[name]
        if not last.endswith("type"):
            node[last] = changed(value, dict(field.metadata), draw)
            try:
                from_plain(plain, "here")
                taken += 1
            except UserError:
                node[last] = value
    assert taken > 30
    run, typed = Run(tmp_path), from_plain(plain, "here")
    run.save_config(typed)
    assert run.load_config() == typed
    assert yaml.safe_load(run.config_file.read_text(encoding="utf-8")) == to_plain(typed)


@pytest.mark.parametrize("seed", SEEDS)
def test_alignments_are_read_as_they_were_written(seed: int, tmp_path: Path) -> None:
    import torch

    draw = random.Random(seed)
    choices = [torch.tensor([draw.randrange(-1, 6) for _ in range(draw.randrange(1, 9))]) for _ in range(20)]
    links = [links_of(choice) for choice in [torch.tensor([0]), *choices]]
    lines = [" ".join(f"{i}-{j}" for i, j in sorted(pair)) for pair in links]
    assert [parse_links(line) for line in lines] == links
    (tmp_path / "gold").write_text("".join(f"{line}\n" for line in lines))
    gold = read_gold(str(tmp_path / "gold"), [["a"] * 6] * 21, [["b"] * 9] * 21)
    assert [pair.sure for pair in gold] == [pair.possible for pair in gold] == links
