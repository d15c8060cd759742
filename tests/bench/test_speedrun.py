"""Time to a mark: a training that is watched from outside, and what is no record."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import speedrun
from seq2seq.config.compose import compose
from seq2seq.data.encoded import prepare

TRAINS = """
import json, signal, sys, time
from pathlib import Path
run, scores, code = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
run.mkdir(parents=True)
with (run / "metrics.jsonl").open("w") as file:
    for n, bleu in enumerate(scores, 1):
        time.sleep(0.1)
        file.write(json.dumps({"step": 10 * n, "train/loss": 1.0}) + "\\n")
        point = {"step": 10 * n, "valid/bleu": bleu, "train/tokens": 100 * n, "train/seconds": n}
        file.write(json.dumps(point) + "\\n")
        file.flush()
sys.exit(code)
"""
REFERENCES = ["the same four words", "and these are other words"]


def until(run: Path, scores: list[float], code: int = 0) -> dict[str, Any]:
    script = run.parent / "trains.py"
    script.write_text(TRAINS, encoding="utf-8")
    return speedrun.until(80.0, [sys.executable, str(script), str(run), json.dumps(scores), str(code)], run)


def test_a_training_ends_at_the_validation_that_reaches_the_mark(tmp_path: Path) -> None:
    found = until(tmp_path / "run", [20.0, 81.5] + [90.0] * 1_000)
    assert found["reached"] and (found["bleu"], found["tokens"], found["step"]) == (81.5, 200, 20)
    assert found["training_seconds"] == 2 and 0.2 <= found["seconds"] < 30
    again = until(tmp_path / "run", [85.0] * 1_000)
    assert again["bleu"] == 85.0 and again["step"] == 10  # nothing of the run before is read
    low = until(tmp_path / "run", [20.0, 30.0])
    assert not low["reached"] and low["bleu"] == 30.0 and low["step"] == 20


def test_a_file_of_ones_own_has_another_folder_than_what_ships() -> None:
    names = ["transformer", "transformer.yaml", "mine/transformer.yaml", "/x/transformer.yaml", "multi30k/lstm"]
    assert len(set(map(speedrun.name_of, names))) == len(names)
    assert speedrun.name_of("transformer") == "transformer"


def test_a_training_that_fails_is_no_record(tmp_path: Path) -> None:
    for scores, code in (([], 2), ([20.0], 2), ([], 0)):
        with pytest.raises(speedrun.Refused, match=f"ended with exit code {code}"):
            until(tmp_path / "run", scores, code)


def test_what_breaks_a_rule_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "validations").mkdir()
    translations, prints = tmp_path / "validations" / "20.txt", tmp_path / "fingerprint.json"

    def check(lines: list[str], bleu: float, **more: Any) -> None:
        translations.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        prints.write_text(json.dumps({"data": speedrun.DATA, **more}), encoding="utf-8")
        speedrun.check(tmp_path, {"step": 20, "bleu": bleu}, REFERENCES)

    check(REFERENCES, 100.0)
    for lines, bleu, more, why in (
        (REFERENCES[:1], 100.0, {}, "1 of 2 validation pairs"),
        ([REFERENCES[0], "other"], 100.0, {}, "not 100.00"),
        (REFERENCES, 100.0, {"data": "others"}, "other data"),
        (REFERENCES, 100.0, {"initial": {"run": "outputs/trained"}}, "weights of another run"),
    ):
        with pytest.raises(speedrun.Refused, match=why):
            check(lines, bleu, **more)


def test_the_median_of_the_seeds_counts() -> None:
    about = {
        "processor": "Abacus",
        "cores": 2,
        "features": ["avx512_bf16"],
        "commit": "abc",
        "date": "2030-01-02 03:04",
    }
    each = {"training_seconds": 50.0, "tokens": 1_500_000}
    runs = [{**each, "seconds": seconds, "reached": seconds < 200} for seconds in (90.0, 200.0, 70.0)]
    row = speedrun.line({"seconds": 90.0, "runs": runs, "about": about, "config": "transformer"})
    assert row.startswith("| 90 | 90, > 200, 70 | 50 | 1.50M | `transformer` | Abacus, AVX512-BF16, 2 cores | `abc` |")


@pytest.mark.parametrize(
    ("given", "said"),
    [(["lstm", "--seeds", "1,x"], "give whole numbers"), (["gru", "--seeds", "1"], "unknown experiment gru")],
)
def test_a_mistake_is_one_line(
    given: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["speedrun", *given, "--out", str(tmp_path)])
    try:
        code = speedrun.main()
    except SystemExit as ended:  # argparse's own
        code = ended.code
    assert code == 2 and said in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_training_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["data.grammar.pairs=300", "data.grammar.valid=4", "data.grammar.test=4", f"data.cache={tmp_path}"]
    options += ["data.subwords.vocab_size=200", "trainer.valid_every=3", "trainer.batch_tokens=200"]
    line = ["speedrun", "lstm", *options, "--seeds", "1", "--mark", "0", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", line)
    assert speedrun.main() == 1
    assert "the data are others" in capsys.readouterr().err
    monkeypatch.setattr(speedrun, "DATA", prepare(compose(["experiment=lstm", *options]).data).fingerprint)
    assert speedrun.main() == 0
    record = json.loads((tmp_path / "out" / "lstm.json").read_text(encoding="utf-8"))
    assert record["runs"][0]["step"] == 3 and record["seconds"] >= record["runs"][0]["training_seconds"] > 0
    assert not (tmp_path / "out" / "lstm" / "seed-1" / "summary.json").exists()  # it was stopped, and not tested
