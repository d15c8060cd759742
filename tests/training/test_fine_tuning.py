"""A model of captions fine-tuned on a thousand Bible verses, and back: what is learned, and what is forgotten.

The text lies beside the project; without it these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq.cli.main import main
from seq2seq.runs.run import Run

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TEXT = {"captions": ("multi30k", "test_2016_flickr"), "verses": ("bible_en_de", "test")}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.exists(), reason="needs the real text beside the project"),
]


def split(corpus: str, name: str, key: str) -> list[str]:
    """The options that name the files of one split."""
    folder = SHARED / TEXT[corpus][0]
    return [f"data.{key}.{side}={folder / f'{name}.{code}'}" for side, code in (("src", "en"), ("tgt", "de"))]


def corpus(name: str) -> list[str]:
    """The options of a whole corpus."""
    parts = {"train": "train", "valid": "val", "test": TEXT[name][1]}
    return [option for key, file in parts.items() for option in split(name, file, key)]


def fine_tune(first: str, second: str, outputs: Path, tokens: int, more: list[str]) -> dict[tuple[str, str], float]:
    """Train on one corpus, go on with a thousand pairs of the other; returns gains by (test set, metric)."""
    common = ["data.src=en", "data.tgt=de", "device=cpu", "trainer.threads=1", "decode.beam=1", "trainer.average=0"]
    common += [f"outputs={outputs}", f"data.cache={outputs / 'cache'}", *more]
    started = ["experiment=text/transformer", f"data.name={first}", *corpus(first), f"trainer.max_tokens={tokens}"]
    assert main(["train", *started, *common]) == 0
    [general] = (outputs / first).glob("*/seed1")
    tuned = [f"init={general}", "data=text", "trainer=text", f"data.name={second}", *corpus(second), "data.take=1000"]
    tuned += [*split(first, TEXT[first][1], "tests.before"), f"trainer.max_tokens={tokens // 4}"]
    assert main(["train", *tuned, *common]) == 0
    [run] = (outputs / second).glob("*/seed1")
    gains = Run(run).load_summary()["gains"]
    before = {gain["metric"]: gain["before"] for gain in gains if gain["test"] == "before"}
    trained = Run(general).load_summary()["test"]
    assert before == {"BLEU": trained["bleu"], "chrF": trained["chrf"]}, "the test of the first training"
    return {(gain["test"], gain["metric"]): gain["after"] - gain["before"] for gain in gains}


@pytest.mark.parametrize(("first", "second"), [("captions", "verses"), ("verses", "captions")])
def test_both_test_sets_are_scored_before_and_after(first: str, second: str, tmp_path: Path, capsys: object) -> None:
    small = ["data.subwords.vocab_size=1000", "data.filters.max_length=40", "trainer.valid_pairs=20"]
    small += ["model.embedding=32", *(f"model.{part}.width=32" for part in ("encoder", "decoder"))]
    small += [f"model.{part}.{key}" for part in ("encoder", "decoder") for key in ("layers=1", "feed_forward=64")]
    gains = fine_tune(first, second, tmp_path, 30_000, [*small, "decode.max_extra=0", "decode.max_ratio=1"])
    assert set(gains) == {(test, metric) for test in ("test", "before") for metric in ("BLEU", "chrF")}


@pytest.mark.parametrize(("first", "second"), [("captions", "verses"), ("verses", "captions")])
def test_the_new_text_is_learned_and_the_old_one_forgotten(first: str, second: str, tmp_path: Path) -> None:
    gains = fine_tune(first, second, tmp_path, 800_000, ["trainer.valid_pairs=50"])
    assert gains["test", "chrF"] > 2
    assert gains["before", "chrF"] < -2
