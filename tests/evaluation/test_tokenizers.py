"""BLEU's tokenisers that are packages of their own: whole, in part, or not there; and words of every script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sacrebleu.metrics.ter import TER as SacreBLEUTER

from seq2seq.evaluation import metrics
from seq2seq.evaluation.failures import left_out, words
from seq2seq.evaluation.metrics import BLEU, TER, tokenizer_notices

BROKEN = "class Tagger:\n    def __init__(self, arguments):\n        raise RuntimeError('no such file: dicrc')\n"


@pytest.mark.parametrize(
    ("verb", "part"),
    [
        ("score", "without its dictionary"),
        ("score", "without the package of the dictionary"),
        pytest.param("train", "without its dictionary", marks=pytest.mark.slow),
        pytest.param("train", "without the package of the dictionary", marks=pytest.mark.slow),
    ],
)
def test_half_of_a_tokenizer_is_refused_before_anything_begins(verb: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "MeCab.py").write_text(BROKEN)
    dictionary = "MECAB_ARGS = ''" if part == "without its dictionary" else "raise ImportError('gone')"
    (tmp_path / "ipadic.py").write_text(f"{dictionary}\n")
    for name, line in (("a", "it is warm today"), ("b", "今日は暖かいです")):
        (tmp_path / name).write_text(f"{line}\n" * 20, encoding="utf-8")
    arguments = {
        "train": ["experiment=text/lstm", "data.train.src=a", "data.train.tgt=b", "data.holdout=2", "data.tgt=jpn"],
        "score": ["b", "--ref", "b"],
    }[verb]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    command = [sys.executable, "-m", "seq2seq", verb, *arguments]
    before = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "ja-mecab cannot be made" in last
    assert last.endswith("pip install 'seq2seq-trainer[ja]'")
    assert "Traceback" not in done.stderr
    assert [path.name for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before


def test_characters_in_place_of_a_tokenizer_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda _: None)
    [notice] = tokenizer_notices("kor_Hang")
    assert notice.endswith("pip install 'seq2seq-trainer[ko]'")
    assert "characters" in notice
    assert [tokenizer_notices(code) for code in ("de", "zh", "th", "")] == [[], [], [], []]


def test_ter_counts_characters_in_chinese_and_japanese_and_says_so() -> None:
    hypotheses, references = ["他昨天买了三本书。"], ["他昨天买了两本书。"]
    expected = SacreBLEUTER(normalized=True, asian_support=True).corpus_score(hypotheses, [references]).score
    assert TER.corpus_score(hypotheses, references, "zho_Hans") == expected == pytest.approx(100 / 9, abs=2)
    assert "norm:yes|punct:yes|asian:yes" in TER.signature("zh")
    assert "norm:no|punct:yes|asian:no" in TER.signature("de")
    assert BLEU.signature("de") == BLEU.signature("")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("आज मौसम बहुत अच्छा है।", ["आज", "मौसम", "बहुत", "अच्छा", "है"]),
        ("வணக்கம், உலகம்!", ["வணக்கம்", "உலகம்"]),
        ("নমস্কার বিশ্ব", ["নমস্কার", "বিশ্ব"]),
        ("می‌خواهم", ["می‌خواهم"]),
        ("Er sagt: „Nein“, 1.000,5-mal.", ["Er", "sagt", "Nein", "1.000,5-mal"]),
    ],
)
def test_marks_belong_to_their_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected
    assert left_out(line, line) == (0, len(expected))
