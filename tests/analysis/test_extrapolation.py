"""Sources beyond the trained lengths: of the grammar, and joined from the test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seq2seq.analysis import extrapolation
from seq2seq.analysis.loaded_run import LoadedRun
from seq2seq.config.schema import DecodeConfig, GrammarConfig

Make = Callable[..., LoadedRun]
Pairs = list[tuple[str, str]]
Texts = Callable[[LoadedRun, list[str], DecodeConfig], list[str]]


def test_lines_and_references_are_joined_alike(pairs: Pairs) -> None:
    src = [f"s{n} ." for n in range(13)]
    sets = extrapolation.joined(src, [f"t{n} !" for n in range(13)])
    assert [(each["parts"], len(each["src"])) for each in sets] == [(2, 6), (3, 4), (4, 3)]
    for each in sets:
        for line, reference in zip(each["src"], each["references"], strict=True):
            assert reference == line.replace("s", "t").replace(".", "!")
            assert line.count("s") == each["parts"]
        used = " ".join(each["src"]).split(" . ")
        assert len(set(used)) == len(used)  # no sentence twice
    order = [" ".join(each["src"]) for each in sets]
    assert all(order[0].startswith(other[:20]) for other in order)  # one order, cut into longer and longer parts
    assert "s0 . s1 . s2" not in order[0]
    assert extrapolation.joined(src, [f"t{n} !" for n in range(13)]) == sets


def test_sentences_of_a_script_without_spaces_are_joined_without_one() -> None:
    chinese, english = ["我有一只猫。", "他看见了那只狗！"] * 2, ["I have a cat.", "He saw the dog!"] * 2
    for src, references in ((chinese, english), (english, chinese)):
        [pairs, *_] = extrapolation.joined(src, references)
        for made, lines in ((pairs["src"], src), (pairs["references"], references)):
            space = " " if lines is english else ""
            assert all(line.count(" ") == 7 * len(space) for line in made)
            assert {*"".join(made)} == {*"".join(lines), *space}


def test_the_grammar_goes_on_where_its_training_ends(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extrapolation, "SENTENCES", 21)
    english = make("lstm", source="grammar", grammar=GrammarConfig(max_words=12))
    sets = extrapolation.generated(english)
    assert [each["name"] for each in sets] == ["13–32 words", "33–52 words", "53–72 words"]
    for first, each in zip((13, 33, 53), sets, strict=True):
        assert [len(line.split()) for line in each["src"]] == [*range(first, first + 20), first]
        assert len(each["references"]) == 21
    german = extrapolation.generated(
        make("lstm", source="grammar", src="de", tgt="en", grammar=GrammarConfig(max_words=12))
    )
    assert [each["name"] for each in german] == [f"{n}–{n + 19} English words" for n in (13, 33, 53)]
    assert [each["src"] for each in german] == [each["references"] for each in sets]
    assert [each["references"] for each in german] == [each["src"] for each in sets]


def test_other_corpora_are_only_joined(make: Make, telling: str, texts: Texts, options: DecodeConfig) -> None:
    run = make(telling)
    found = extrapolation.measure(run)
    assert [each["kind"] for each in found["sets"]] == ["joined"] * 3 and found["beam"] == 3
    for each in found["sets"]:
        assert each["hypotheses"] == texts(run, each["src"], options)
