"""The full-size recipes of docs/scaling.md: commands compose, their figures follow, a thousandth of each runs here."""

from __future__ import annotations

import json
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.config.compose import compose
from seq2seq.config.schema import Config
from seq2seq.models.build import build, parameters_by_part
from seq2seq.runs.run import run_of
from tests.hub_server import Hub, client_environment

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r'^make train CONFIG=(\S+) DEVICES=8(?: ARGS="([^"]*)")?$', re.MULTILINE)
DEVICES = 8
PEAK = 312e12
"""Floating-point operations a second of one GPU; this and the next four are what the section assumes."""
SHARE = {"lstm": 0.05, "bahdanau": 0.05, "transformer": 0.2}
SHORTEST = 0.05
REAL = 0.9
TOKENS = {"wmt14": 29, "iwslt14": 25, "iwslt17": 25, "opus100": 18}
PAIRS = {"wmt14": 4_500_000, "iwslt14": 160_000, "iwslt17": 206_000, "opus100": 1_000_000}
RECIPES = [
    f"{corpus}/{model}{size}" for corpus, size in [*((c, "") for c in PAIRS), ("wmt14", "-big")] for model in SHARE
]
FOLDERS = {"iwslt17": "iwslt2017-de-en"}
"""Folders of the repositories; de-en elsewhere."""
CARD = "---\nconfigs:\n- config_name: de-en\n  data_files:\n" + "".join(
    f"  - {{split: {split}, path: de-en/{split}.jsonl}}\n" for split in ("train", "validation", "test")
)
CARD += "---\n"
CLIENT = """
import json, sys
from seq2seq.cli.main import main
for arguments in json.load(sys.stdin):
    assert main(["train", *arguments]) == 0, arguments
"""


@cache
def section() -> str:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    return text.partition("\n## Full-size recipes\n")[2].partition("\n## ")[0]


@cache
def recipes() -> dict[str, tuple[list[str], Config]]:
    """Arguments and config of each command in the section, by the folder of its runs."""
    found = {}
    for name, more in COMMAND.findall(section()):
        arguments = [f"experiment={name}", *shlex.split(more)]
        config = compose(arguments)
        found[str(run_of(config).folder.parent.relative_to(config.outputs))] = arguments, config
    return found


def row(recipe: str) -> list[str]:
    """The cells beside a recipe's name in the table of figures, the first of the section."""
    names = re.compile(rf"^\|(?: `\S+`,)* `{recipe}`(?:, `\S+`)* \|(.*)\|$", re.MULTILINE)
    found = names.search(section())
    assert found, recipe
    return [cell.strip() for cell in found[1].split("|")]


def parameters(config: Config) -> int:
    vocabulary = config.data.subwords.vocab_size
    with torch.device("meta"):
        return parameters_by_part(build(config.model, vocabulary, vocabulary))["total"]


def figures(config: Config, kilobytes: float) -> list[str]:
    """The cells that follow from a config, and from the kilobytes of activations a position that were counted."""
    trainer, size = config.trainer, parameters(config)
    positions, updates = trainer.batch_tokens * trainer.accumulate, trainer.max_steps or 0
    tokens = REAL * positions * updates
    epochs = tokens / (PAIRS[config.data.name] * TOKENS[config.data.name])
    held = trainer.batch_tokens / (1 if trainer.accumulate % DEVICES == 0 else DEVICES)
    operations = 6 * size * positions * updates
    seconds = max(operations / updates / (DEVICES * PEAK * SHARE[config.model.name]), SHORTEST)
    return [
        f"{size / 1e6:.1f}M",
        f"{positions:,}",
        f"{updates:,}",
        f"{tokens / 1e9:.2f}",
        f"{epochs:.0f}",
        f"{trainer.optimizer.warmup_steps:,}; {trainer.optimizer.lr:g}",
        f"{kilobytes:.0f}",
        f"{(18 * size + 1000 * kilobytes * held) / 1e9 + 1.5:.1f}",
        f"{operations / 1e18:.2f}",
        f"{1000 * seconds:,.0f}",
        f"{seconds * updates / 3600:.1f}",
    ]


def test_every_corpus_and_size_has_all_three_models_of_equal_size() -> None:
    assert sorted(recipes()) == sorted(RECIPES)
    counts = {recipe: parameters(config) for recipe, (_, config) in recipes().items()}
    for lstm, bahdanau, transformer in zip(RECIPES[::3], RECIPES[1::3], RECIPES[2::3], strict=True):
        trio = counts[lstm], counts[bahdanau], counts[transformer]
        assert max(trio) <= 1.02 * min(trio), trio


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_figures_of_a_recipe_follow_from_its_command(recipe: str) -> None:
    cells = row(recipe)
    assert cells == figures(recipes()[recipe][1], float(cells[6]))


# ------------------------------------------------------------------------------------------ a thousandth of the size


def lines(pairs: int, seed: int) -> bytes:
    """Pairs of made-up sentences, translated word by word."""
    draw = random.Random(seed)
    text = ""
    for _ in range(pairs):
        words = [draw.randrange(200) for _ in range(draw.randint(1, 5))]
        sides = {"en": "".join(f"{word:03x} " for word in words), "de": "".join(f"{word * 7:04x} " for word in words)}
        text += json.dumps({"translation": {code: side.strip() for code, side in sides.items()}}) + "\n"
    return text.encode()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """The four repositories as the presets name them, with a thousandth of the pairs."""
    with Hub() as server:
        server.revisions.add("refs/convert/parquet")
        for seed, (corpus, pairs) in enumerate(PAIRS.items()):
            options = compose([f"data={corpus}"]).data.hub
            folder = FOLDERS.get(corpus, "de-en")
            sizes = {"train": pairs // 1000, "validation": 8, "test": 8}
            files = {f"{folder}/{split}.jsonl": lines(size, 10 * seed + size) for split, size in sizes.items()}
            server.publish(str(options.repo), files | ({"README.md": CARD.encode()} if options.name else {}))
        yield server


def reduced(recipe: str, folder: Path) -> list[str]:
    """The arguments of a recipe with a 32nd of each width, so a thousandth of each matrix, and a few updates."""
    arguments, config = recipes()[recipe]
    small = [f"model.embedding={config.model.embedding // 32}"]
    for part in ("encoder", "decoder"):
        for key, value in asdict(getattr(config.model, part)).items():
            if key in ("width", "feed_forward", "context_width", "attention_width"):
                small.append(f"model.{part}.{key}={value // 32}")
    trainer = config.trainer
    updates = max((trainer.max_steps or 0) // 5000, 4)
    small += [f"trainer.batch_tokens={trainer.batch_tokens // 40}", f"trainer.max_steps={updates}"]
    small += [f"trainer.valid_every={updates // 2}", "trainer.optimizer.warmup_steps=2", "trainer.threads=1"]
    small += ["data.subwords.vocab_size=300", f"data.cache={folder / 'cache'}", "device=cpu", f"outputs={folder}"]
    return [*arguments, *small]


def run(hub: Hub, command: list[str], folder: Path, told: Any = None) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        input=json.dumps(told),
        env=client_environment(hub.address, folder),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


def assert_trained(recipe: str, folder: Path) -> None:
    run_folder = folder / recipe / "seed1"
    points = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    losses = [point["valid/nll"] for point in points if "valid/nll" in point]
    assert losses[-1] < losses[0], recipe
    assert 0 <= json.loads((run_folder / "summary.json").read_text())["test"]["bleu"] <= 100


@pytest.mark.slow
def test_a_thousandth_of_two_transformers_trains(hub: Hub, tmp_path: Path) -> None:
    """One repository with a folder, one with a configuration; the others take half a minute."""
    chosen = ["iwslt14/transformer", "opus100/transformer"]
    run(hub, ["-c", CLIENT], tmp_path, [reduced(recipe, tmp_path) for recipe in chosen])
    for recipe in chosen:
        assert_trained(recipe, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_thousandth_of_each_recipe_trains_in_two_processes(hub: Hub, recipe: str, tmp_path: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "seq2seq", "train"]
    run(hub, [*torchrun, *reduced(recipe, tmp_path)], tmp_path)
    assert_trained(recipe, tmp_path)
