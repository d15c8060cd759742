"""Text of ten scripts (``tests/text``), of which three have no spaces: each verb on it, as a user runs them.

``en.txt`` and each other file are translations of each other, line by line.
"""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from seq2seq.cli.main import main
from seq2seq.config.schema import SubwordConfig
from seq2seq.data import subwords
from seq2seq.data.lengths import characters
from seq2seq.runs.run import Run

TEXT = Path(__file__).parent.parent / "text"
TOKENIZERS = {
    "ar": "13a", "el": "13a", "en": "13a", "he": "13a", "hi": "13a", "ja": "ja-mecab", "ko": "ko-mecab", "ru": "13a",
    "th": "char", "vi": "13a", "zh": "zh",
}  # fmt: skip
OTHERS = [language for language in TOKENIZERS if language != "en"]
DIRECTIONS = [*(("en", other) for other in OTHERS), ("ar", "en"), ("hi", "en"), ("th", "en"), ("zh", "en")]
ORDINARY = {("en", "zh"): "transformer", ("hi", "en"): "bahdanau", ("en", "ar"): "lstm"}
"""Directions that the ordinary suite trains, with their models; the slow one trains all, each model in turn."""
SIZE = {
    "lstm": ["model.encoder.width=12", "model.decoder.width=12", "model.decoder.context_width=12"],
    "bahdanau": ["model.encoder.width=12", "model.decoder.width=12", "model.decoder.attention_width=12"],
    "transformer": [
        f"model.{side}.{key}"
        for side in ("encoder", "decoder")
        for key in ("width=16", "layers=1", "heads=2", "feed_forward=32")
    ],
}
METRICS = ("BLEU", "chrF")
PARTS = {"train": slice(0, 80), "valid": slice(80, 90), "test": slice(90, 100)}


def lines(language: str) -> list[str]:
    return (TEXT / f"{language}.txt").read_text(encoding="utf-8").splitlines()


def tokenizer(language: str) -> str:
    package = {"ja": "MeCab", "ko": "mecab_ko"}.get(language)
    return "char" if package and not find_spec(package) else TOKENIZERS[language]


def answer(capfd: Any, *arguments: str) -> str:
    """What the command prints. It must succeed."""
    capfd.readouterr()
    code = main([*arguments])
    printed = capfd.readouterr()
    assert code == 0, printed.err
    return str(printed.out)


def texts(folder: Path, *names: str) -> list[list[str]]:
    """The lines of files of an evaluation."""
    files = [folder / (name if "." in name else f"{name}.txt") for name in names]
    return [file.read_text(encoding="utf-8").split("\n")[:-1] for file in files]


def write_splits(folder: Path, src: str, tgt: str) -> list[str]:
    """Write the three splits; returns the options that name their files."""
    options = []
    for (part, chosen), (side, language) in itertools.product(PARTS.items(), (("src", src), ("tgt", tgt))):
        path = folder / f"{part}.{language}"
        path.write_text("".join(f"{line}\n" for line in lines(language)[chosen]), encoding="utf-8")
        options.append(f"data.{part}.{side}={path}")
    return options


@pytest.mark.parametrize("language", TOKENIZERS)
def test_a_text_scores_100_against_itself_in_every_form(language: str, tmp_path: Path, capfd: Any) -> None:
    text = lines(language)
    assert len(set(text)) == 100
    for form in ("NFC", "NFD"):
        (tmp_path / form).write_text("".join(unicodedata.normalize(form, line) + "\n" for line in text), "utf-8")
    draw = random.Random(1)
    worse = ["".join(sign for sign in line if sign == " " or draw.random() > 0.05) for line in text]
    (tmp_path / "worse").write_text("".join(f"{unicodedata.normalize('NFC', line)}\n" for line in worse), "utf-8")
    found = []
    for form, reference in (("NFC", "NFD"), ("NFD", "NFC")):
        systems = [f"same={tmp_path}/{form}", f"worse={tmp_path}/worse"]
        scores = json.loads(
            answer(capfd, "score", *systems, f"--ref={tmp_path}/{reference}", f"--lang={language}", "--json")
        )
        assert f"|tok:{tokenizer(language)}" in scores["signatures"]["BLEU"]
        found.append([[row[metric]["value"] for metric in METRICS] for row in scores["systems"]])
    assert found[0] == found[1]
    same, worsened = found[0]
    assert [round(value, 9) for value in same] == [100, 100]
    assert all(20 < value < 99 for value in worsened)


@pytest.mark.parametrize("language", TOKENIZERS)
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_subwords_give_the_text_back(language: str, kind: str) -> None:
    text = lines(language)
    size = 860 if language in ("ja", "ko", "zh") else 550  # these have many characters
    trained = subwords.train(iter(lines("en")), iter(text), SubwordConfig(vocab_size=size, type=kind))
    assert trained.decode_tgt(trained.encode_tgt(text)) == [unicodedata.normalize("NFC", line) for line in text]


def directions() -> list[Any]:
    models = itertools.cycle(SIZE)
    chosen = [(*pair, ORDINARY.get(pair) or next(models)) for pair in DIRECTIONS]
    return [
        pytest.param(*each, id="-".join(each), marks=[] if each[:2] in ORDINARY else [pytest.mark.slow])
        for each in chosen
    ]


@pytest.mark.parametrize(("src", "tgt", "model"), directions())
def test_every_verb(src: str, tgt: str, model: str, tmp_path: Path, capfd: Any) -> None:
    """Trained for some updates, validated, tested, evaluated, scored, translated, aligned, exported and shown."""
    files = write_splits(tmp_path, src, tgt)
    data = ["data=text", f"data.src={src}", f"data.tgt={tgt}", "data.subwords.vocab_size=800", *files]
    trainer = ["trainer.batch_tokens=256", "trainer.max_steps=6", "trainer.valid_every=3", "trainer.threads=1"]
    places = [f"data.cache={tmp_path}/cache", f"outputs={tmp_path}", "name=run"]
    said = answer(capfd, "train", f"model={model}", *SIZE[model], "model.embedding=16", *data, *trainer, *places)
    assert all(
        cell_len(line) <= 80 for line in said.splitlines() if "│" in line or line.startswith(("source", "translation"))
    )
    run, folder = Run(tmp_path / "run"), str(tmp_path / "run")
    summary, test = run.load_summary(), run.evaluation("test")
    assert f"|tok:{tokenizer(tgt)}|" in summary["test"]["bleu_signature"]
    assert len(texts(run.folder / "validations", "6")[0]) == 10
    assert texts(test, "src", "ref") == [lines(src)[90:], lines(tgt)[90:]]
    evaluated = json.loads(answer(capfd, "evaluate", folder, "--json"))
    assert evaluated["bleu"] == summary["test"]["bleu"]
    (hypotheses,) = texts(test, "hypotheses")
    perfect = answer(capfd, "score", f"{test}/ref.txt", f"--ref={tmp_path}/test.{tgt}", f"--lang={tgt}", "--json")
    assert all(round(row[metric]["value"], 9) == 100 for row in json.loads(perfect)["systems"] for metric in METRICS)
    translate = ["translate", folder, f"--in={tmp_path}/test.{src}"]
    assert answer(capfd, *translate) == "".join(f"{line}\n" for line in hypotheses)
    assert answer(capfd, *translate, "--attention").startswith(f"{hypotheses[0]}\n")
    if model != "lstm":
        answer(capfd, "align", folder)
        links = [
            [tuple(map(int, link.split("-"))) for link in line.split()] for line in texts(test, "alignment.pharaoh")[0]
        ]
        spaced = [language not in ("ja", "th", "zh") for language in (src, tgt)]
        for source, target, found in zip(lines(src)[90:], lines(tgt)[90:], links, strict=True):
            sizes = [
                len(line.split() if own else characters(line))
                for line, own in zip((source, target), spaced, strict=True)
            ]
            assert 2 * len({place for _, place in found}) > sizes[1] > max(place for _, place in found)
            assert all(place < sizes[0] for place, _ in found)
    if model == "transformer" and find_spec("ctranslate2"):
        answer(capfd, "export", folder, "--to", "ctranslate2")
    if (src, tgt) not in ORDINARY:  # the page takes longer than all the rest
        answer(capfd, "report", folder, "--corpus", f"--out={tmp_path}/page")
        page = (tmp_path / "page/report.html").read_text(encoding="utf-8")
        assert any(line in page for line in lines(tgt)[90:])
        unspaced = src in ("ja", "th", "zh")
        assert ("source characters" in page, "source words" in page) == (unspaced, not unspaced)
