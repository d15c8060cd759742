"""``seq2seq doctor`` on a corpus: each planted fault at its lines, nothing on clean text; the filter file."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.cli.main import main
from seq2seq.config.schema import DataConfig, FilterConfig, SplitConfig
from seq2seq.data.encoded import prepare
from seq2seq.data.files import Pair
from seq2seq.data.sources import open_source
from seq2seq.doctor import signs
from seq2seq.doctor.corpus import Split, examine
from seq2seq.doctor.line_languages import identifier
from seq2seq.errors import UserError
from tests.hostile.corpora import GOOD

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def write(name: str, pairs: list[Pair]) -> SplitConfig:
    for side, ending in enumerate(("en", "de")):
        Path(f"{name}.{ending}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8", newline="")
    return SplitConfig(src=f"{name}.en", tgt=f"{name}.de")


def config(train: list[Pair], held: list[Pair], **options: object) -> DataConfig:
    valid, test = write("valid", held[:50]), write("test", held[50:])
    given = {"source": "text", "src": "en", "tgt": "de", "cache": "cache", **options}
    return DataConfig(train=write("train", train), valid=valid, test=test, **given)  # type: ignore[arg-type]


def examined(train: list[Pair], held: list[Pair], with_model: bool = False) -> Split:
    return examine(config(train, held), identifier() if with_model else None).splits["train"]


def kinds(split: Split) -> dict[str, list[int]]:
    return {kind: numbers for kind, numbers in split.found.items() if numbers}


def test_nothing_is_found_in_clean_pairs(clean: list[Pair]) -> None:
    result = examine(config(clean[:1_200], clean[1_200:]), None)
    assert result.shift == 0
    assert {name: kinds(split) for name, split in result.splits.items()} == {"train": {}, "valid": {}, "test": {}}


FAULTS: dict[str, tuple[str, Callable[[Pair], Pair]]] = {
    "an empty target": ("empty", lambda pair: (pair[0], "")),
    "an invisible source": ("empty", lambda pair: ("\u200b ", pair[1])),
    "a copy": ("copy", lambda pair: (pair[1], pair[1])),
    "a copy in capitals": ("copy", lambda pair: (pair[0], pair[0].upper())),
    "swapped": ("swapped", lambda pair: (pair[1], pair[0])),
    "a French target": ("language", lambda pair: (pair[0], "il ne sait pas ce que les enfants ont dit dans la maison")),
    "a Russian target": ("language", lambda pair: (pair[0], "мы не знаем, что он сказал вчера вечером в старом доме")),
    "other numbers": ("numbers", lambda pair: (f"{pair[0]} 1,200", f"{pair[1]} 1.300")),
    "a long target": ("ratio", lambda pair: (pair[0], f"{pair[1]} {pair[1]} {pair[1]} {pair[1]} {pair[1]}")),
    "a control character": ("signs", lambda pair: (pair[0] + "\x07", pair[1])),
    "a replacement character": ("signs", lambda pair: (pair[0], f"{pair[1]} \ufffd")),
    "read as Latin-1": ("signs", lambda pair: (pair[0], f"{pair[1]} fÃ¼r")),
    "read as Windows-1252": ("signs", lambda pair: (f"{pair[0]} it â€™ s", pair[1])),
    "too long": ("too long", lambda pair: (f"{pair[0]} " * 14, f"{pair[1]} " * 14)),
}


LIKE_OTHERS = ("a control character", "read as Windows-1252")


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=[pytest.mark.slow] * (fault in LIKE_OTHERS)) for fault in FAULTS]
)
def test_each_planted_fault_is_found_at_its_lines(fault: str, clean: list[Pair]) -> None:
    kind, harm = FAULTS[fault]
    pairs, places = clean[:900], [3, 77, 412, 899]
    for place in places:
        pairs[place - 1] = harm(pairs[place - 1])
    split = examined(pairs, clean[1_200:])
    found = kinds(split)
    assert found.pop(kind) == places
    found.pop("near-duplicate", None)  # the same French or Russian line four times
    assert not found or (fault == "a long target" and set(found) == {"misaligned"})


def test_languages_are_also_told_by_py3langid(clean: list[Pair]) -> None:
    pytest.importorskip("py3langid")
    icelandic = "Hann sagði mér að börnin hefðu farið út í garðinn eftir hádegismatinn í gær"
    pairs = clean[:900]
    pairs[499] = (pairs[499][0], icelandic)
    assert examined(pairs, clean[1_200:], with_model=True).found["language"] == [500]


def test_repeated_pairs_and_pairs_of_a_test_are_found(clean: list[Pair]) -> None:
    pairs, held = clean[:900], clean[1_200:]
    pairs[9], pairs[19] = pairs[4], (pairs[3][0].upper() + " !", pairs[3][1])
    pairs[29], pairs[39] = held[5], (held[60][0] + " .", held[60][1])
    result = examine(config(pairs, held), None)
    assert kinds(result.splits["train"]) == {"duplicate": [10], "near-duplicate": [20], "in a test": [30, 40]}
    assert kinds(result.splits["valid"]) == {"in training": [6]}
    assert kinds(result.splits["test"]) == {"in training": [11]}


def test_a_test_set_may_have_any_name(clean: list[Pair]) -> None:
    pairs, held = clean[:900], clean[1_200:]
    pairs[29] = held[60]
    corpus = config(pairs, held)
    named = replace(corpus, tests={"leaked": corpus.test})
    assert kinds(examine(named, None).splits["leaked"]) == {"in training": [11]}


def test_pairs_that_do_not_fit_are_found(clean: list[Pair]) -> None:
    pairs, places = clean[:1_200], range(100, 1_100, 50)
    for place in places:
        pairs[place - 1] = (pairs[place - 1][0], clean[(place + 555) % 1_200][1])
    found = examined(pairs, clean[1_200:]).found["misaligned"]
    assert set(found) <= set(places)
    assert len(found) >= 0.8 * len(places)


@pytest.mark.parametrize("begin", [0, 300, 900])
def test_a_missing_line_shifts_what_follows(begin: int, clean: list[Pair]) -> None:
    targets = [tgt for _, tgt in clean[:1_201]]
    del targets[begin]
    split = examined([(src, tgt) for (src, _), tgt in zip(clean[:1_200], targets, strict=True)], clean[1_200:])
    found = split.found["misaligned"]
    assert abs(found[0] - begin) <= 6
    assert len(found) >= 0.75 * (1_200 - begin) and min(found) > begin - 6
    [(shift, count)] = split.shifts.most_common(1)
    assert shift == -1
    assert count > 0.8 * len(found)


@pytest.mark.parametrize("name", ["multi30k"])
def test_little_is_found_in_real_text(name: str) -> None:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip("no such text here")
    read = {side: (folder / f"train.{side}").read_text(encoding="utf-8").split("\n")[:4_000] for side in ("en", "de")}
    pairs = list(zip(read["en"], read["de"], strict=True))
    split = examined(pairs[:3_800], pairs[3_800:])
    assert sum(map(len, split.found.values())) <= 2  # in 3,800 pairs


ARGUMENTS = ["data=text", "data.src=en", "data.tgt=de", "data.cache=cache"]
ARGUMENTS += [
    f"data.{split}.{key}={split}.{side}"
    for split in ("train", "valid", "test")
    for key, side in (("src", "en"), ("tgt", "de"))
]


def test_the_command_says_where_and_what_to_do(clean: list[Pair], capsys: pytest.CaptureFixture[str]) -> None:
    config(clean[:900], clean[1_200:])
    assert main(["doctor", *ARGUMENTS]) == 0
    said = capsys.readouterr().out
    assert "nothing was found" in said and "needed to show what a fixed context loses" in said
    config([clean[0], *((src, src) for src, _ in clean[1:900])], clean[1_200:])
    assert main(["doctor", *ARGUMENTS]) == 1
    assert "serious: train: both sides are the same text: 899 pairs of 900 (99.89%)\n    lines 2, 3, 4, 5, 6, …" in (
        capsys.readouterr().out
    )
    assert main(["doctor", *ARGUMENTS, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["pairs"] == {"train": 900, "valid": 50, "test": 50}
    [copies] = [found for found in told["findings"] if found["kind"] == "copy"]
    assert copies["first"] == ["2", "3", "4", "5", "6"] and copies["serious"] and copies["count"] == 899
    assert sum(told["source_lengths"]["train"].values()) == 900


@pytest.mark.parametrize(("code", "unit"), [("th", "characters"), ("zh", "characters"), ("hi", "words")])
def test_lengths_are_counted_in_the_unit_of_the_source(
    code: str, unit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(__file__).parents[1] / "text"
    files = [
        f"data.{split}.{side}={text / name}.txt"
        for split in ("train", "valid", "test")
        for side, name in (("src", code), ("tgt", "en"))
    ]
    command = ["doctor", "data=text", f"data.src={code}", "data.tgt=en", f"data.cache={tmp_path}", *files]
    main([*command, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["unit"] == unit
    counts = told["source_lengths"]["test"]
    assert sum(counts.values()) == 100 and sum(count > 0 for count in counts.values()) > 1
    main(command)
    assert f"sentences by source {unit}" in capsys.readouterr().out


def test_training_leaves_out_what_the_filter_file_names(clean: list[Pair], capsys: pytest.CaptureFixture[str]) -> None:
    pairs = clean[:900]
    pairs[6] = (pairs[6][0], pairs[6][0])
    data = config(pairs, clean[1_200:])
    plain = open_source(data).fingerprint()
    assert main(["doctor", *ARGUMENTS, "--drop", "drop.txt"]) == 0
    assert Path("drop.txt").read_text().splitlines()[2:] == ["7\tcopy"]
    data.filters.drop = "drop.txt"
    source = open_source(data)
    assert list(source.pairs("train")) == [*pairs[:6], *pairs[7:]]
    assert source.fingerprint() != plain
    data.subwords.vocab_size = 400
    assert prepare(data).counts["train"]["read"] == 899
    assert "drop.txt: 1 training pairs are left out" in capsys.readouterr().err
    config(clean[:899], clean[1_200:])
    with pytest.raises(UserError, match=r"data.filters.drop=drop.txt was made for another training text"):
        open_source(data)


def test_a_list_of_pairs_to_leave_out_replaces_no_other_file(
    clean: list[Pair], capsys: pytest.CaptureFixture[str]
) -> None:
    config(clean[:30], clean[1_200:])
    text = Path("train.en").read_text()
    assert main(["doctor", *ARGUMENTS, "--drop", "train.en"]) == 2
    assert "train.en is there, and is no list of pairs to leave out" in capsys.readouterr().err
    assert Path("train.en").read_text() == text
    assert 2 not in [main(["doctor", *ARGUMENTS, "--drop", "drop.txt"]) for _ in range(2)]
    with Path("drop.txt").open("a") as edited:
        edited.write("# kept: the recipes\n")
    mine = Path("drop.txt").read_text()
    assert main(["doctor", *ARGUMENTS, "--drop", "drop.txt"]) == 2
    assert "drop.txt has been edited since it was written: name another file, or remove it" in capsys.readouterr().err
    assert Path("drop.txt").read_text() == mine


def test_what_is_held_out_stays_the_same_when_pairs_are_left_out(clean: list[Pair]) -> None:
    pairs = clean[:300]
    pairs[6] = pairs[8] = (pairs[6][0], pairs[6][0])
    write("train", pairs)
    given = [argument for argument in ARGUMENTS if ".train." in argument or "data." not in argument]
    assert main(["doctor", *given, "data.src=en", "data.tgt=de", "data.holdout=20", "--drop", "drop.txt"]) == 0
    data = DataConfig(source="text", src="en", tgt="de", train=SplitConfig(src="train.en", tgt="train.de"), holdout=20)
    plain = open_source(data)
    data.filters = FilterConfig(drop="drop.txt")
    filtered = open_source(data)
    for split in ("valid", "test"):
        assert list(filtered.pairs(split)) == list(plain.pairs(split))
    named = {pairs[int(line.partition("\t")[0]) - 1] for line in Path("drop.txt").read_text().splitlines()[2:]}
    assert named
    assert list(filtered.pairs("train")) == [pair for pair in plain.pairs("train") if pair not in named]
    every = "".join(f"{number}\tx\n" for number in range(1, 301))
    Path("drop.txt").write_text("\n".join(Path("drop.txt").read_text().splitlines()[:2]) + f"\n{every}")
    with pytest.raises(UserError, match="leaves no training pair"):
        open_source(data)


def test_numbers_in_the_filter_file_are_those_of_each_file(clean: list[Pair]) -> None:
    write("a", clean[:400])
    write("b", [(clean[400][0], clean[400][0]), *clean[401:800]])
    several = [argument for argument in ARGUMENTS if ".train." not in argument]
    several += ["data.train.src=[a.en,b.en]", "data.train.tgt=[a.de,b.de]"]
    config(clean[:1], clean[1_200:])
    assert main(["doctor", *several, "--drop", "drop.txt"]) == 0
    assert [line.split()[-1] for line in Path("drop.txt").read_text().splitlines()[1:]] == ["a.de", "b.de", "copy"]
    data = DataConfig(source="text", src="en", tgt="de", train=SplitConfig(src=["b.en"], tgt=["b.de"]), holdout=9)
    data.filters = FilterConfig(drop="drop.txt")
    with pytest.raises(UserError, match="another training text"):
        open_source(data)  # a.en is gone
    data.train = SplitConfig(src=["b.en", "a.en"], tgt=["b.de", "a.de"])
    assert sum(1 for split in ("train", "valid", "test") for _ in open_source(data).pairs(split)) == 799


@pytest.mark.parametrize(
    "text", ["", "7\tcopy\n", "= a\n", "= a 9 x\nseven\n", "= a 9 x\n10\tcopy\n", "= a 9 x\n0\tx\n"]
)
def test_a_filter_file_of_another_kind_is_refused(text: str) -> None:
    Path("drop.txt").write_text(text)
    data = config(GOOD, [*GOOD * 3], filters=FilterConfig(drop="drop.txt"))
    with pytest.raises(UserError, match=r"drop.txt(:\d: no number|  ?was made for| is an empty)|was made for another"):
        open_source(data)


def test_the_machine_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["product in float32"].endswith("GFLOP/s")
    assert {"python", "threads", "memory", "free disk here", "langid", "zst"} <= set(figures)
    assert main(["doctor", "--drop", "x"]) == 2
    assert main(["doctor", "--resume", "data=text"]) == 2


@pytest.mark.parametrize("option", ["--kills", "--seed"])
@pytest.mark.parametrize("more", [[], ["data=text"]])
def test_kills_without_a_training_to_kill_are_refused(
    option: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", option, "3", *more]) == 2
    said = capsys.readouterr().err
    assert f"{option} is of the trainings that are killed: give --resume as well" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("मैं हिन्दी में एक छोटी किताब पढ़ता हूँ", 8),
        ("நான் ஒரு புத்தகம் படிக்கிறேன்", 4),
        (unicodedata.normalize("NFD", "für die schöne Tür"), 4),
        ("می\u200cخواهم بروم", 2),
        ("我们 go 去", 4),
        ("it's re-read, no_one 3.5", 8),
    ],
)
def test_marks_and_joiners_belong_to_their_words(text: str, count: int) -> None:
    assert len(signs.words(text)) == count


def test_words_that_differ_in_a_mark_are_no_near_duplicates() -> None:
    assert signs.folded("कि") != signs.folded("की")
    assert signs.folded("für") == signs.folded(unicodedata.normalize("NFD", "FÜR!"))
    assert signs.words("für") == signs.words(unicodedata.normalize("NFD", "für"))


def test_a_blank_test_pair_makes_no_leak_of_punctuation(clean: list[Pair]) -> None:
    data = config([*clean[:900], ("...", "..."), ("!", "!"), ("— —", "— —")], [*clean[1_200:], ("", "")])
    found = examine(data, None)
    assert not found.splits["train"].found["in a test"]
    assert not found.splits["test"].found["in training"]
