"""What ``seq2seq doctor`` advises cures the fault, and it says when there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.cli.main import main
from seq2seq.config.schema import DataConfig, SplitConfig
from seq2seq.data.files import Pair
from seq2seq.doctor.corpus import examine
from seq2seq.doctor.findings import dropped, findings
from tests.doctor.test_corpus import ARGUMENTS, config

SPLITS = ("train", "valid", "test")
FRENCH = "il ne sait pas ce que les enfants ont dit dans la maison"


def turned(pairs: list[Pair]) -> list[Pair]:
    return [(tgt, src) for src, tgt in pairs]


def test_the_cure_of_swapped_sides_cures_them(clean: list[Pair]) -> None:
    swapped = config(turned(clean[:1_200]), turned(clean[1_200:]))
    examined = examine(swapped, None)
    found = list(findings(examined))
    assert [(each["split"], each["kind"], each["serious"]) for each in found] == [
        (split, "swapped", True) for split in SPLITS
    ]
    assert [each["todo"] for each in found] == [
        f"exchange data.src and data.tgt (the codes), or data.{split}.src and data.{split}.tgt (the files)"
        for split in SPLITS
    ]
    assert not any(dropped(examined))
    codes = replace(swapped, src=swapped.tgt, tgt=swapped.src)
    files = {split: swapped.split_options(split) for split in SPLITS}
    exchanged = replace(swapped, **{split: SplitConfig(src=each.tgt, tgt=each.src) for split, each in files.items()})
    assert not [*findings(examine(codes, None))] and not [*findings(examine(exchanged, None))]


def test_the_columns_of_a_table_are_exchanged(clean: list[Pair]) -> None:
    for split, pairs in zip(SPLITS, (clean[:500], clean[1_200:1_250], clean[1_250:]), strict=True):
        Path(f"{split}.tsv").write_text("".join(f"{src}\t{tgt}\n" for src, tgt in turned(pairs)), encoding="utf-8")
    files = {split: SplitConfig(file=f"{split}.tsv") for split in SPLITS}
    data = DataConfig(source="tsv", src="en", tgt="de", cache="cache", **files)  # type: ignore[arg-type]
    assert {each["todo"] for each in findings(examine(data, None))} == {"exchange data.src_column and data.tgt_column"}
    assert not [*findings(examine(replace(data, src_column="2", tgt_column="1"), None))]


def test_where_most_pairs_are_swapped_their_language_is_no_second_fault(clean: list[Pair]) -> None:
    pairs = turned(clean[:900])
    pairs[6] = (pairs[6][0], "x y z x y z")  # no word tells that this side is not German
    pairs[8] = (pairs[8][0], FRENCH)
    [swapped, language, *_] = findings(examine(config(pairs, clean[1_200:]), None))
    assert swapped["kind"] == "swapped" and swapped["count"] > 850
    assert (language["kind"], language["first"]) == ("language", ["9"])
    assert language["todo"].endswith("(found: fr)")


def test_a_few_swapped_pairs_are_left_out(clean: list[Pair]) -> None:
    pairs = [*turned(clean[:100]), *clean[100:900]]
    train, valid = findings(examine(config(pairs, [*turned(clean[1_200:1_210]), *clean[1_210:]]), None))
    assert (train["kind"], valid["kind"]) == ("swapped", "swapped")
    assert train["todo"].startswith("leave them out: --drop FILE") and valid["todo"].startswith("mend these lines")


@pytest.mark.parametrize(
    ("text", "found"),
    [("a\r\n", False), ("a\r\r\n", True), ("a\rb\n", True)],
)
def test_a_carriage_return_in_the_text_is_a_note(text: str, found: bool, clean: list[Pair]) -> None:
    data = config(clean[:30], clean[1_200:])
    Path("train.de").write_text("".join(f"{tgt} {text}" for _, tgt in clean[:30]), encoding="utf-8", newline="")
    notes = [each for each in findings(examine(data, None)) if each["kind"] == "carriage return"]
    assert len(notes) == found
    assert all(each["count"] == 30 and not each["serious"] and r"tr -d '\r'" in each["todo"] for each in notes)


def test_the_last_line_says_whether_it_can_be_trained_on(clean: list[Pair], capsys: pytest.CaptureFixture[str]) -> None:
    config(clean[:900], clean[1_200:])
    assert main(["doctor", *ARGUMENTS, "--drop", "drop.txt"]) == 0
    said = capsys.readouterr().out
    assert said.endswith(
        "drop.txt names no training pair: there is nothing to leave out\nnothing was found: it can be trained on\n"
    )
    assert "needed to show what a fixed context loses: 30 test sentences of more than 30 words; there are 0" in said
    assert "│ 21–30" in said and "│ 31–40" not in said
    config([*clean[:899], (clean[0][0], clean[0][0])], clean[1_200:])
    assert main(["doctor", *ARGUMENTS, "--drop", "drop.txt"]) == 0
    assert capsys.readouterr().out.endswith(
        "note: train: both sides are the same text: 1 pair of 900 (0.11%)\n    line 900\n"
        "    leave them out: --drop FILE, then data.filters.drop=FILE\n"
        "1 training pair in drop.txt: train with data.filters.drop=drop.txt\n"
        "nothing serious was found: it can be trained on\n"
    )
    without(500, 1, clean)
    assert main(["doctor", *ARGUMENTS]) == 1
    assert capsys.readouterr().out.endswith("\n2 serious findings: mend the corpus before it is trained on\n")


def without(place: int, count: int, clean: list[Pair]) -> None:
    """Write a corpus whose German training text lacks some lines."""
    config(clean[:1_200], clean[1_200:])
    lines = [f"{tgt}\n" for _, tgt in clean[:1_200]]
    Path("train.de").write_text("".join(lines[:place] + lines[place + count :]), encoding="utf-8", newline="")


@pytest.mark.parametrize("place", [0, 10, 300, 900, 1_100])
@pytest.mark.parametrize("count", [1, 2])
def test_files_of_unequal_length_are_examined_and_it_is_said_where_they_part(
    place: int, count: int, clean: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    without(place, count, clean)
    assert main(["doctor", *ARGUMENTS, "--json"]) == 1
    [found] = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["kind"] == "unequal"]
    assert found["serious"] and found["split"] == "train" and found["count"] == count
    assert abs(int(found["first"][0]) - 1 - place) <= 6
    assert found["todo"].startswith(
        f"train.en has 1,200 lines but train.de has {1_200 - count:,}; the sides part near there: "
    )


@pytest.mark.parametrize("count", [1, 200])
def test_a_file_that_was_cut_short_fits_as_far_as_it_goes(
    count: int, clean: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    without(1_200 - count, count, clean)
    assert main(["doctor", *ARGUMENTS, "--drop", "drop.txt"]) == 1
    said = capsys.readouterr().out
    assert f"serious: train: one file is longer: by {count} line" in said
    assert "as far as both go, the sides fit: look whether the end of the shorter is missing" in said
    assert "drop.txt is not written" in said and not Path("drop.txt").exists()


def test_where_files_of_few_lines_part_is_not_known(clean: list[Pair], capsys: pytest.CaptureFixture[str]) -> None:
    config(clean[:30], clean[1_200:])
    Path("test.de").write_text("eins\nzwei\n", encoding="utf-8")
    assert main(["doctor", *ARGUMENTS, "--drop", "drop.txt"]) == 1
    said = capsys.readouterr().out
    assert "serious: test: one file is longer: by 48 lines\n    test.en has 50 lines but test.de has 2; where" in said
    assert Path("drop.txt").exists()  # the training files are as they will be


def test_of_several_files_the_one_is_named(clean: list[Pair], capsys: pytest.CaptureFixture[str]) -> None:
    without(500, 1, clean)
    for side in ("en", "de"):
        Path(f"train.{side}").rename(f"shorter.{side}")
    config(clean[:1_200], clean[1_200:])
    several = [argument for argument in ARGUMENTS if ".train." not in argument]
    several += ["data.train.src=[train.en,shorter.en]", "data.train.tgt=[train.de,shorter.de]"]
    assert main(["doctor", *several]) == 1
    said = capsys.readouterr().out.splitlines()
    line = said[said.index("serious: train: one file is longer: by 1 line") + 1]
    assert line.startswith("    line shorter.en + shorter.de:")
    assert abs(int(line.rpartition(":")[2]) - 501) <= 6
