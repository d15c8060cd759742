"""seq2seq score on files, against sacreBLEU's own command line, and on what users and other systems may hand in."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from seq2seq.cli import score as scoring
from seq2seq.errors import UserError

WORDS = ["der", "die", "das", "Hund", "Katze", "Haus", "läuft", "alt,", "klein.", "und", "[red]", "<script>", "„ja“"]


def text(number: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=1 + n % 45)) for n in range(number)]


def worsened(lines: list[str], seed: int) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(w if generator.random() > 0.2 else "zzz" for w in line.split()) for line in lines]


REFERENCES = text(90, 0)
CAPTURED: Any = {"capture_output": True, "text": True}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)
    write("ref", REFERENCES)
    write("src", REFERENCES)
    for n in range(1, 5):
        write(f"hyp{n}", worsened(REFERENCES, n))
    return tmp_path


def write(name: str, lines: list[str], end: str = "\n") -> None:
    Path(name).write_bytes("".join(f"{line}{end}" for line in lines).encode())


def run(*arguments: str) -> None:
    given = scoring.parser().read(arguments)
    assert scoring.run(given, scoring.validate(given)) == 0


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    run(*arguments, "--json")
    return json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


# ------------------------------------------------------------------------------------------------------ what it says


def test_scores_signatures_and_p_values_are_those_of_sacrebleu(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(capsys, "--ref", "ref", "hyp1", "other=hyp2", "--lang", "de")
    assert found["sentences"] == 90
    assert [(row["system"], row["files"]) for row in found["systems"]] == [("hyp1", ["hyp1"]), ("other", ["hyp2"])]
    pairs = {row["metric"]: row for row in found["differences"]}
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp1", "hyp2", "-m", "bleu", "chrf", "-w", "9"]
    randomised = subprocess.run([*command, "--paired-ar", "--paired-ar-n", "2000"], **CAPTURED, check=True)
    theirs = json.loads(randomised.stdout)
    for metric, name in (("BLEU", "BLEU"), ("chrF", "chrF2")):
        scores = [row[metric]["value"] for row in found["systems"]]
        assert scores == pytest.approx([row[name]["score"] for row in theirs], abs=1e-8)
        assert pairs[metric]["value"] == pytest.approx(scores[0] - scores[1])
        assert pairs[metric]["p_randomisation"] == pytest.approx(theirs[1][name]["p_value"], abs=1e-9)
    # as text: sacreBLEU 2.6 cannot print this as JSON
    resampled = subprocess.run([*command, "--paired-bs", "-f", "text"], **CAPTURED, check=True)
    p_values = [float(p) for p in re.findall(r"p = (\d\.\d+)", resampled.stdout)]
    assert [pairs[metric]["p_bootstrap"] for metric in ("BLEU", "chrF")] == pytest.approx(p_values, abs=6e-5)
    plain = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp1", "-m", "bleu", "chrf"]
    signatures = json.loads(subprocess.run(plain, **CAPTURED, check=True).stdout)
    assert list(found["signatures"].values()) == [row["signature"] for row in signatures]


def test_three_files_of_one_system_are_its_seeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "--ref", "ref", "ours=hyp1,hyp2,hyp3", "theirs=hyp4")
    ours, theirs = (row["BLEU"] for row in found["systems"])
    assert ours["covers"] == "sentences and seeds" and theirs["covers"] == "sentences"
    assert len(ours["seeds"]) == 3 and ours["value"] == pytest.approx(sum(ours["seeds"]) / 3)
    assert ours["low"] < ours["value"] < ours["high"]
    assert found["differences"][0]["covers"] == "sentences"


def test_every_pair_is_compared_and_corrected_for_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = report(capsys, "--ref", "ref", "hyp1", "hyp2", "hyp3")["differences"]
    assert [(row["a"], row["b"]) for row in rows] == [("hyp1", "hyp2"), ("hyp1", "hyp3"), ("hyp2", "hyp3")] * 2
    for metric in ("BLEU", "chrF"):
        for test in ("p_bootstrap", "p_randomisation"):
            raw = sorted(row[test] for row in rows if row["metric"] == metric)
            adjusted = sorted(row[f"{test}_holm"] for row in rows if row["metric"] == metric)
            assert adjusted[0] == pytest.approx(min(3 * raw[0], 1))
            assert all(a >= r for a, r in zip(adjusted, raw, strict=True))


def test_buckets_are_of_the_sources_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "--ref", "ref", "--src", "src", "hyp1", "hyp2", "--buckets", "20,40")
    assert [(row["words"], row["sentences"], row["small"]) for row in found["by_length"]] == [
        ("1–20", 40, False),
        ("21–40", 40, False),
        ("41–45", 10, True),
    ]
    for name, chosen in (("short", range(1, 21)), ("long", range(41, 46))):
        for file in ("ref", "hyp1"):
            lines = Path(file).read_text(encoding="utf-8").split("\n")[:-1]
            write(
                f"{name}-{file}",
                [line for line, ref in zip(lines, REFERENCES, strict=True) if len(ref.split()) in chosen],
            )
        alone = report(capsys, "--ref", f"{name}-ref", f"{name}-hyp1")["systems"][0]["BLEU"]
        bucket = found["by_length"][0 if name == "short" else -1]["systems"][0]["BLEU"]
        assert bucket == alone
    family = [row["p_randomisation"] for bucket in found["by_length"] for row in bucket["differences"][:1]]
    least = min(row["p_randomisation_holm"] for bucket in found["by_length"] for row in bucket["differences"][:1])
    assert least == pytest.approx(min(3 * min(family), 1))


def test_the_tables_hold_the_figures_and_fit_a_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a-folder-with-a-long-name/and-another-one-below-it").mkdir(parents=True)
    long = "a-folder-with-a-long-name/and-another-one-below-it/hypotheses-of-a-[bold]system.txt"
    Path("hyp1").rename(long)
    given = ["--ref", "ref", "--src", "src", long, "日本語の名前=hyp2,hyp3,hyp4", "[red]x[/nonsense]=hyp3"]
    found = report(capsys, *given)
    run(*given)
    out = capsys.readouterr().out
    assert max(map(cell_len, out.splitlines())) <= 80
    assert "[red]x[/" in out and "日本語の名前" in out
    for row in found["systems"]:
        assert f"{row['BLEU']['value']:.2f} [{row['BLEU']['low']:.2f}, {row['BLEU']['high']:.2f}]" in out
    assert f"{found['differences'][1]['value']:+.2f} ±" in out
    assert "sentences and seeds" in out and "cover sentences alone" in out
    assert "* fewer than 30 sentences" in out and "Holm" in out
    assert all(signature.split("|version")[0] in out.replace("\n", "") for signature in found["signatures"].values())


def test_one_system_alone_is_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--ref", "ref", "hyp1")
    out = capsys.readouterr().out
    assert "BLEU" in out and "difference" not in out and "words" not in out


def test_the_language_chooses_the_tokeniser(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("ref", ["我喜欢猫。"] * 2)
    write("hyp", ["我喜欢狗。"] * 2)
    found = {lang: report(capsys, "--ref", "ref", "hyp", "--lang", lang) for lang in ("en", "zh")}
    assert "tok:zh" in found["zh"]["signatures"]["BLEU"] and "tok:13a" in found["en"]["signatures"]["BLEU"]
    assert found["zh"]["systems"][0]["BLEU"]["value"] > found["en"]["systems"][0]["BLEU"]["value"]


def test_torch_is_not_loaded() -> None:
    code = (
        "import sys, seq2seq.cli.score, seq2seq.evaluation.scoring; assert not {'torch', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------- metrics that are computed elsewhere


def quality(seed: int, mean: float) -> list[str]:
    generator = random.Random(seed)
    easy = random.Random(0)  # the same sentences are easy for all systems
    return [str(mean + 0.1 * easy.gauss(0, 1) + 0.02 * generator.gauss(0, 1)) for _ in REFERENCES]


def test_scores_of_sentences_get_intervals_and_paired_tests(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mean, the standard error of the paired differences, and swaps of signs, computed here independently."""
    write("one", quality(1, 0.850))
    write("other", quality(2, 0.849))
    given = ["--ref", "ref", "--src", "src", "a=hyp1", "b=hyp2", "--scores", "comet:a=one", "--scores", "comet:b=other"]
    found = report(capsys, *given, "--signature", "comet=wmt22-comet-da|unbabel-comet:2.2.7")
    assert found["signatures"]["comet"] == "wmt22-comet-da|unbabel-comet:2.2.7"
    assert list(found["signatures"]) == ["BLEU", "chrF", "comet"]
    a, b = (np.array([float(line) for line in Path(name).read_text().split()]) for name in ("one", "other"))
    for row, own in zip(found["systems"], (a, b), strict=True):
        error = own.std(ddof=1) / len(own) ** 0.5
        assert row["comet"]["value"] == pytest.approx(own.mean())
        assert row["comet"]["high"] - row["comet"]["low"] == pytest.approx(2 * 1.987 * error, rel=0.06)
    [pair] = [row for row in found["differences"] if row["metric"] == "comet"]
    assert pair["value"] == pytest.approx((a - b).mean())
    error = (a - b).std(ddof=1) / len(a) ** 0.5
    assert pair["high"] - pair["low"] == pytest.approx(2 * 1.987 * error, rel=0.06)
    signs = np.random.default_rng(7).choice([-1, 1], size=(20_000, len(a)))
    by_chance = (abs((signs * (a - b)).mean(1)) >= abs((a - b).mean())).mean()
    assert 0.001 < by_chance < 0.5 and pair["p_randomisation"] == pytest.approx(by_chance, abs=0.02)
    short = [n for n, line in enumerate(REFERENCES) if len(line.split()) <= 10]
    assert found["by_length"][0]["systems"][0]["comet"]["value"] == pytest.approx(a[short].mean())
    plain = report(capsys, *given[:6])
    assert [row["BLEU"] for row in plain["systems"]] == [row["BLEU"] for row in found["systems"]]
    assert plain["differences"] == [row for row in found["differences"] if row["metric"] != "comet"]


def test_seeds_scales_and_the_only_system(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in (1, 2, 3):
        write(f"c{n}", quality(n, 0.8))
        write(f"m{n}", [str(-100 * float(score)) for score in quality(n, 0.8)])
    [row] = report(capsys, "--ref", "ref", "a=hyp1,hyp2,hyp3", "--scores", "x:a=c1,c2,c3", "--scores", "m=m1,m2,m3")[
        "systems"
    ]
    assert row["x"]["covers"] == "sentences and seeds" and len(row["x"]["seeds"]) == 3
    assert row["m"]["value"] == pytest.approx(-100 * row["x"]["value"])
    assert row["m"]["low"] == pytest.approx(-100 * row["x"]["high"])
    run("--ref", "ref", "a=hyp1,hyp2,hyp3", "--scores", "x=c1,c2,c3", "--scores", "m=m1,m2,m3")
    printed = capsys.readouterr()
    assert f"{row['x']['value']:.4f} [{row['x']['low']:.4f}, {row['x']['high']:.4f}]" in printed.out
    assert f"−{-row['m']['value']:.2f} [−" in printed.out
    assert max(map(cell_len, printed.out.splitlines())) <= 80
    assert "x signature  not given" in printed.out and "--signature x=TEXT" in printed.err


def test_one_sentence_has_no_interval(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, line in (("ref", "die Katze"), ("hyp", "die"), ("c", "0.5")):
        write(name, [line])
    [row] = report(capsys, "--ref", "ref", "hyp", "--scores", "c=c")["systems"]
    assert (row["c"]["value"], row["c"]["low"], row["c"]["high"]) == (0.5, None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0.5\n0,7\n", r"^c:2: '0,7' is no number: give the score of one sentence"),
        (b"0.5\n\n", r"^c:2: '' is no number"),
        (b"0.5\n1_0\n", r"^c:2: '1_0' is no number"),
        (b"nan\n0.5\n", r"^c:1: 'nan' is no score: give finite numbers"),
        (b"0.5\n-inf\n", r"^c:2: '-inf' is no score"),
        (b"0.5\n1e300\n", r"^c:2: '1e300' is no score"),
        (b"hyp\tSegment 0\tscore: 0.85\n0.5\n", r"is no number"),
        (b"0.5\n", r"^c has 1 lines but ref has 2: give a line for each"),
        (b"0.5\n0.5\n0.5\n", r"^c has 3 lines but ref has 2"),
        (b"", r"^c is an empty corpus"),
    ],
)
def test_impossible_scores_are_answered_in_one_line(folder: Path, content: bytes, message: str) -> None:
    write("ref", ["a", "b"])
    write("hyp", ["a", "b"])
    Path("c").write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        run("--ref", "ref", "hyp", "--scores", "comet=c")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scores", "comet=c"], r"of which system\? Give comet:NAME=FILE for each of a, b=c"),
        (["--scores", "comet:a=c"], r"^no scores of b=c by comet: .*--scores comet:b=c=FILE"),
        (["--scores", "comet:a=c", "--scores", "comet:a=c"], r"scores of a by comet are given twice"),
        (["--scores", "comet:x=c"], r"where NAME is one of a, b=c$"),
        (["--scores", "comet:a=c,c", "--scores", "comet:b=c=c"], r"give 1 file, one for each of a's"),
        (["--scores", "comet:a="], r"give 1 file"),
        (["--scores", "BLEU:a=c"], r"^--scores BLEU:a=c: give METRIC=FILE .* none of bleu"),
        (["--scores", "comet"], r"^--scores comet: "),
        (["--scores", ":a=c"], r"give METRIC=FILE or METRIC:SYSTEM=FILE"),
        (["--scores", "a b:a=c"], r"a name of letters and digits"),
        (["--signature", "comet=x"], r"^--signature comet=x: give METRIC=TEXT for a metric of --scores"),
        (["--scores", "m:a=c", "--scores", "m:b=c=c", "--signature", "m=a\nb"], r"give one line of text"),
        (["--scores", "m:a=c", "--scores", "m:b=c=c", "--signature", "m="], r"give one line of text"),
    ],
)
def test_scores_of_nothing_that_is_scored_are_refused(folder: Path, arguments: list[str], message: str) -> None:
    write("c", quality(1, 0.8))
    write("b=c", REFERENCES)
    with pytest.raises(UserError, match=message):
        run("--ref", "ref", "a=hyp1", "b=c", *arguments)


# -------------------------------------------------------------------------------------------------- hostile input


def test_lines_end_at_the_line_feed_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = [
        "a\u2028b c d e",
        "f\u0085g h i j",
        "k\x0bl m\rn o p",
        "",
        "שלום <script>alert('x')</script> \"q\"",
        "w " * 400,
    ]
    write("ref", odd)
    write("plain", odd)
    write("crlf", odd, "\r\n")
    Path("bom").write_bytes(b"\xef\xbb\xbf" + Path("plain").read_bytes())
    Path("unended").write_bytes(Path("plain").read_bytes()[:-1])
    Path("packed.gz").write_bytes(gzip.compress(Path("plain").read_bytes()))
    found = report(capsys, "--ref", "ref", "--src", "ref", "plain", "crlf", "bom", "unended", "packed.gz")
    assert found["sentences"] == 6
    assert [row["BLEU"]["value"] for row in found["systems"]] == pytest.approx([100] * 5)
    assert {row["p_bootstrap"] for row in found["differences"]} == {1}


@pytest.mark.parametrize("hypotheses", [[""] * 3, ["x"] * 3, ["", "zzz", ""]])
def test_nothing_said_scores_nothing(folder: Path, capsys: pytest.CaptureFixture[str], hypotheses: list[str]) -> None:
    write("ref", ["die Katze sieht das Haus", "", "ja"])
    write("hyp", hypotheses)
    [row] = report(capsys, "--ref", "ref", "--src", "hyp", "hyp")["systems"]
    assert (row["BLEU"]["value"], row["BLEU"]["low"], row["BLEU"]["high"]) == (0, 0, 0)
    run("--ref", "ref", "--src", "hyp", "hyp", "hyp2=hyp")
    assert "0.00 [0.00, 0.00]" in capsys.readouterr().out


def test_one_line_says_nothing_about_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("ref", ["die Katze sieht das alte Haus"])
    write("a", ["die Katze sieht das Haus"])
    write("b", ["das alte Haus"])
    found = report(capsys, "--ref", "ref", "a", "b")
    assert (found["systems"][0]["BLEU"]["low"], found["systems"][0]["BLEU"]["high"]) == (0, 100)
    assert {row[p] for row in found["differences"] for p in ("p_bootstrap", "p_randomisation")} == {1}


def test_a_file_may_have_signs_in_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("beam=5,lp=1", "a,b"):
        Path(name).write_bytes(Path("hyp1").read_bytes())
    found = report(capsys, "--ref", "ref", "beam=5,lp=1", "x=a,b", "y=beam=5,lp=1")
    assert [(row["system"], row["files"]) for row in found["systems"]] == [
        ("beam=5,lp=1", ["beam=5,lp=1"]),
        ("x", ["a,b"]),
        ("y", ["beam=5,lp=1"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hyp1", "short"], r"^short has 2 lines but ref has 90: give a line for each$"),
        (["a=hyp1,short"], r"^short has 2 lines but ref has 90"),
        (["hyp1", "--src", "short"], r"^short has 2 lines but ref has 90"),
        (["missing"], r"^missing: no such file"),
        (["x=hyp1,missing"], r"^missing: no such file"),
        (["latin"], r"^latin:2: not UTF-8 \(byte 0xfc\)"),
        (["empty"], r"^empty is an empty corpus"),
        (["."], r"^\. is a folder"),
        (["long"], r"^long:2: 200,001 characters: BLEU takes at most 200,000 in a line: split it"),
        (["pipe"], r"^pipe: not a regular file"),
        (["hyp1", "hyp1"], r"^two systems are called hyp1"),
        (["x=hyp1", "x=hyp2"], r"^two systems are called x: .*NAME=FILE,FILE"),
        (["x=hyp1,hyp1"], r"one file stands for two seeds"),
        (["x="], r"^x=: give NAME=FILE"),
        (["=hyp1"], r"^=hyp1: give NAME=FILE"),
        (["x=hyp1,,hyp2"], r"give NAME=FILE"),
        (["hyp1", "--buckets", "10"], r"--src as well"),
        (["hyp1", "--buckets", ""], r"--src as well"),
        (["hyp1", "--src", "src", "--buckets", ""], r"growing numbers"),
        (["hyp1", "--src", "src", "--buckets", "20,10"], r"growing numbers"),
        (["hyp1", "--src", "src", "--buckets", "10,10"], r"growing numbers"),
        (["hyp1", "--src", "src", "--buckets", "0,10"], r"growing numbers"),
        (["hyp1", "--src", "src", "--buckets", "ten"], r"^--buckets ten: give growing numbers"),
        (["hyp1", "--src", "src", "--buckets", "10,"], r"growing numbers"),
        (["hyp1", "--src", "src", "--buckets", "²"], r"growing numbers"),
    ],
)
def test_mistakes_are_answered_in_one_line(folder: Path, arguments: list[str], message: str) -> None:
    write("short", ["a", "b"])
    Path("latin").write_bytes(b"gut\nf\xfcr\n")
    Path("empty").touch()
    write("long", ["a", "a" * 200_001, *REFERENCES[2:]])
    os.mkfifo("pipe")
    with pytest.raises(UserError, match=message) as raised:
        run("--ref", "ref", *arguments)
    assert "\n" not in str(raised.value)


def test_pipes_that_the_shell_has_opened_are_read_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As ``<(…)`` is; a named pipe, which would wait for a writer, is refused above."""
    expected = report(capsys, "--ref", "ref", "--src", "src", "hyp=hyp1")
    pipes = [piped(Path(name).read_bytes()) for name in ("ref", "src", "hyp1")]
    found = report(capsys, "--ref", pipes[0], "--src", pipes[1], f"hyp={pipes[2]}")
    assert json.loads(json.dumps(found).replace(pipes[2], "hyp1")) == expected


def piped(content: bytes) -> str:
    """The path of a pipe with ``content``, which has to fit into the system's buffer of 64 kB."""
    end, into = os.pipe()
    os.write(into, content)
    os.close(into)
    return f"/dev/fd/{end}"


@pytest.mark.parametrize("language", ["hi", "ja", "th", "zh"])
def test_a_source_without_spaces_is_counted_in_characters(
    language: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts of one to six sentences, which fill several buckets in any script."""
    source, english = (
        (Path(__file__).parents[1] / f"text/{each}.txt").read_text("utf-8").splitlines() for each in (language, "en")
    )
    space = " " if language == "hi" else ""
    write("unspaced", [space.join(source[n : n + 1 + n % 6]) for n in range(100)])
    write("english", [" ".join(english[n : n + 1 + n % 6]) for n in range(100)])
    unit = "words" if language == "hi" else "characters"
    given = ["english", "--ref", "english", "--lang", "en", "--src", "unspaced"]
    buckets = report(capsys, *given)["by_length"]
    assert {bucket["unit"] for bucket in buckets} == {unit} and len(buckets) >= 3
    edge = 10 if unit == "words" else 20
    assert buckets[0]["words"].endswith(f"–{edge}") and buckets[1]["words"].startswith(f"{edge + 1}–")
    first, *_ = report(capsys, *given, "--buckets", "10,20,30,40")["by_length"]
    assert first["words"].endswith("–10")
    if language == "zh":
        command = [sys.executable, "-m", "seq2seq", "score", *given]
        printed = subprocess.run(command, **CAPTURED, check=True).stdout
        assert "by characters of the source" in printed and "words" not in printed
