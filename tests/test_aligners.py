"""eflomal beside attention: links of both directions merged by hand, its files, and one table."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import aligners
from scripts.aligners import GoldTest, by_eflomal, grow_diag_final_and
from scripts.bench.environments import interpreter
from scripts.bench.worker import Failed
from seq2seq.config.compose import compose
from seq2seq.config.schema import ModelConfig
from seq2seq.data.subwords import Subwords
from seq2seq.evaluation.alignment import Gold
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.run import Run
from tests.processes import run_command

TINY = (
    *("experiment=bahdanau", "data.grammar.pairs=300", "data.grammar.valid=20", "data.grammar.test=30"),
    *("data.subwords.vocab_size=600", "trainer.max_tokens=null", "trainer.max_steps=2", "trainer.valid_every=2"),
    *("decode.beam=1", "decode.max_ratio=1", "trainer.samples=0"),
)
PROGRAM = """#!{python}
import sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
lines = [open(given[side], encoding="utf-8").read().splitlines() for side in ("-s", "-t")]
if not all(all(line.split(" ")) for side in lines for line in side): sys.exit("an empty line")
for flag in ("-f", "-r"):
    with open(given[flag], "w") as out:
        for src, tgt in zip(*lines, strict=True):
            words = min(len(src.split()), len(tgt.split())) - (flag == "-r")
            out.write(" ".join(f"{{n}}-{{n}}" for n in range(words)) + "\\n")
"""


def test_links_grow_from_the_common_ones_to_their_neighbours_and_then_to_words_that_have_none() -> None:
    forward, reverse = {(0, 0), (1, 1), (2, 1), (4, 3)}, {(0, 0), (1, 1), (1, 2), (5, 4)}
    grown = grow_diag_final_and(forward, reverse)
    assert grown >= {(0, 0), (1, 1)}, "both directions have them"
    assert (2, 1) in grown and (1, 2) in grown, "beside a common link, and one of their words has no other"
    assert (4, 3) in grown and (5, 4) in grown, "far away, but both words have no other"
    assert grow_diag_final_and({(0, 0), (1, 0)}, {(0, 0), (0, 1), (1, 0)}) == {(0, 0), (1, 0), (0, 1)}
    assert grow_diag_final_and({(0, 0), (3, 0)}, {(0, 0)}) == {(0, 0)}, "no neighbour, and its target word is linked"
    assert grow_diag_final_and(set(), set()) == set()


def test_eflomal_gets_the_training_text_and_the_test_behind_it(tmp_path: Path) -> None:
    program = tmp_path / "eflomal-align"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    lines = (["You sleep."], ["Du schläfst ruhig."])
    test = GoldTest(lines, ([["You", "sleep", "."]], [["Du", "schläfst", "ruhig", "."]]), [Gold(set(), set())])
    forward, reverse = by_eflomal(program, [("I see a cat.", "Ich sehe eine Katze."), ("Go!", "Geh!")], test)
    assert forward == [{(0, 0), (1, 1), (2, 2)}] and reverse == [{(0, 0), (1, 1)}], "of the test alone"
    program.write_text("#!/bin/sh\necho 'no memory' >&2\nexit 3\n")
    with pytest.raises(Failed, match="eflomal ended with 3: no memory"):
        by_eflomal(program, [("Go!", "Geh!")], test)


@pytest.mark.slow  # installs eflomal
def test_one_table_has_eflomal_attention_and_the_bounds(tmp_path: Path) -> None:
    try:
        interpreter("eflomal")
    except Failed as error:
        pytest.skip(f"eflomal cannot be installed here: {error}")
    own = [f"outputs={tmp_path}", f"data.cache={tmp_path / 'data'}", "name=run"]
    subprocess.run([sys.executable, "-m", "seq2seq", "train", *TINY, *own], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "scripts.aligners", str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in ("grow-diag-final-and", "attention before the word", "the best single links", "the diagonal"):
        assert name in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_checkpoint_that_is_given_is_the_one_that_is_measured(
    tmp_path: Path,
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run's default checkpoint cannot be read, so that a table can only come from the other one."""
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    config = compose([*TINY, f"data.cache={tmp_path / 'data'}", "device=cpu", "trainer.precision=fp32"])
    run.save_config(replace(config, model=replace(tiny_models["bahdanau"], name="bahdanau")))
    tiny_subwords.save(run.subwords)
    checkpoint.save_weights(run.checkpoint("step-100"), checkpoint.weights_of(build_tiny("bahdanau", vocab=320)), {})
    run.checkpoint("best").write_bytes(b"no checkpoint")
    words = ["the", "cat", "."], ["die", "Katze", "."]
    links = {(0, 0), (1, 1), (2, 2)}
    lines = ([" ".join(words[0])], [" ".join(words[1])])
    test = GoldTest(lines, ([words[0]], [words[1]]), [Gold(links, links)])
    monkeypatch.setattr(GoldTest, "of", lambda run: test)
    monkeypatch.setattr(aligners, "by_eflomal", lambda *_: ([links], [links]))
    monkeypatch.setattr("scripts.bench.environments.interpreter", Path)
    found = {}
    for given in (run.checkpoint("step-100"), run.folder):
        monkeypatch.setattr(sys, "argv", ["aligners", str(given)])
        found[given.name] = aligners.main()
    printed = capsys.readouterr()
    assert found == {"step-100.safetensors": 0, "run": 2}, printed
    assert "attention before the word" in printed.out and "best.safetensors" in printed.err


def test_a_run_without_attention_or_gold_is_one_line(tmp_path: Path) -> None:
    done = run_command(str(tmp_path), module="scripts.aligners")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


@pytest.mark.parametrize("pairs", ["0", "-1"])
def test_no_pairs_are_refused_before_anything_is_read(pairs: str, tmp_path: Path) -> None:
    done = run_command(str(tmp_path), "--pairs", pairs, module="scripts.aligners")
    assert done.returncode == 2 and done.stderr.endswith(f"error: --pairs {pairs}: give at least 1\n")
