"""The command, as a user runs it: real processes, real files, and what they print."""

from __future__ import annotations

import contextlib
import gzip
import importlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from seq2seq.cli.help import options_below
from seq2seq.cli.main import main
from seq2seq.cli.verbs import VERBS
from seq2seq.config.schema import Config
from seq2seq.runs.run import Run
from tests.processes import run_command, start_command

SEQ2SEQ = str(Path(sys.executable).parent / "seq2seq")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
NOUNS = {"the dog": "der hund", "the cat": "die katze", "a child": "ein kind", "the old man": "der alte mann"}
VERBS_OF_TEXT = {"sees": "sieht", "knows": "kennt", "looks for": "sucht"}
SIZE = {
    "bahdanau": ["model.encoder.width=16", "model.decoder.width=16", "model.decoder.attention_width=16"],
    "lstm": ["model.encoder.width=16", "model.decoder.width=16", "model.decoder.context_width=16"],
}


def run(*arguments: str, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[str]:
    """A real process; its exit code is checked."""
    done = run_command(*arguments, stdin=stdin, env=ENVIRONMENT)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def train_arguments(folder: Path, model: str, *more: str) -> list[str]:
    """A tiny training whose outputs and cache lie in ``folder``."""
    files = [
        f"data.{split}.{side}={folder}/{split}.{side}"
        for split in ("train", "valid", "test")
        for side in ("src", "tgt")
    ]
    data = ["data=text", *files, "data.subwords.vocab_size=60", "data.subwords.byte_fallback=false"]
    trainer = ["trainer.batch_tokens=256", "trainer.max_tokens=null", "trainer.max_steps=4", "trainer.threads=1"]
    rest = ["trainer.samples=1", "trainer.valid_every=2", "trainer.precision=fp32", "model.embedding=16"]
    places = [f"data.cache={folder}/cache", f"outputs={folder}/outputs"]
    return [f"model={model}", *SIZE[model], *data, *trainer, *rest, *places, *more]


def write_corpus(folder: Path) -> None:
    pairs = [
        (f"{s} {v} {o}", f"{NOUNS[s]} {VERBS_OF_TEXT[v]} {NOUNS[o]}")
        for s in NOUNS
        for v in VERBS_OF_TEXT
        for o in NOUNS
    ]
    parts = {"valid": pairs[::9], "test": pairs[1::9], "train": [p for n, p in enumerate(pairs) if n % 9 > 1]}
    for split, chosen in parts.items():
        for side, ending in enumerate(("src", "tgt")):
            (folder / f"{split}.{ending}").write_text("".join(f"{pair[side]}\n" for pair in chosen))


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time stamp."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, and below ``outputs/text`` a run of each of two models. Nobody changes what is in it."""
    folder = tmp_path_factory.mktemp("cli")
    write_corpus(folder)
    for model in ("bahdanau", "lstm"):
        done = run("train", *train_arguments(folder, model))
        (folder / f"{model}.out").write_text(done.stdout)
        (folder / f"{model}.err").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def attentive(place: Path) -> Path:
    return place / "outputs/text/bahdanau/seed1"


@pytest.fixture(scope="module")
def fixed(place: Path) -> Path:
    return place / "outputs/text/lstm/seed1"


@pytest.fixture
def copied(attentive: Path, tmp_path: Path) -> Path:
    """A run folder alone, at another place."""
    return Path(shutil.copytree(attentive, tmp_path / "elsewhere"))


def json_of(capfd: Any, *arguments: str) -> dict[str, Any]:
    capfd.readouterr()
    assert main(["evaluate", *arguments, "--json"]) == 0
    scores: dict[str, Any] = json.loads(capfd.readouterr().out)
    return scores


# ---------------------------------------------------------------------------------------------------------- train


def test_train_prints_the_scores_with_signatures_and_what_to_type_next(place: Path, attentive: Path) -> None:
    out = (place / "bahdanau.out").read_text()
    scores = json.loads((attentive / "summary.json").read_text())["test"]
    assert re.search(rf"BLEU\s+│\s+{scores['bleu']:.2f} │", out)
    assert re.search(rf"chrF\s+│\s+{scores['chrf']:.2f} │", out)
    assert f"BLEU signature  {scores['bleu_signature']}" in out
    assert scores["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    for word in ("perplexity", "training time", "target tokens", "tokens/s", "source", "translation", "reference"):
        assert word in out
    assert f"seq2seq translate {attentive}" in out


def test_train_says_how_to_watch_it(place: Path) -> None:
    assert f"tensorboard --logdir {place}/outputs" in (place / "bahdanau.err").read_text()


@pytest.mark.parametrize("model", ["bahdanau", "lstm"])
def test_tables_fit_into_80_columns(model: str, place: Path) -> None:
    lines = (place / f"{model}.out").read_text().splitlines()
    free = ("BLEU signature", "chrF signature", "source ", "translation ", "reference ", "next: ", "       seq2seq")
    assert [line for line in lines if len(line) > 80 and not line.startswith(free)] == []


def test_a_run_leaves_what_the_design_promises(attentive: Path) -> None:
    files = {str(path.relative_to(attentive)) for path in attentive.rglob("*") if path.is_file()}
    assert files >= {
        "config.yaml",
        "fingerprint.json",
        "metrics.jsonl",
        "summary.json",
        "subwords/src.model",
        "subwords/tgt.model",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        "evaluations/test/hypotheses.txt",
        "evaluations/test/scores.json",
        "evaluations/test/src.txt",
        "evaluations/test/ref.txt",
    }
    fingerprint = json.loads((attentive / "fingerprint.json").read_text())
    assert {"data", "subwords", "references", "code", "versions"} <= fingerprint.keys()
    assert not [name for name in files if name.endswith(".tmp")]


def test_the_same_command_again_prints_the_table_and_touches_nothing(place: Path, attentive: Path) -> None:
    before = snapshot(place)
    done = run("train", *train_arguments(place, "bahdanau"))
    assert "is finished" in done.stderr
    assert "overwrite=true" in done.stderr
    table = done.stdout
    assert table in (place / "bahdanau.out").read_text()
    assert "BLEU signature" in table
    assert snapshot(place) == before


def test_another_config_is_refused_by_the_names_of_its_keys(place: Path, capfd: Any) -> None:
    before = snapshot(place)
    assert main(["train", *train_arguments(place, "bahdanau", "trainer.optimizer.lr=0.5", "trainer.max_steps=5")]) == 2
    err = capfd.readouterr().err
    assert "trainer.max_steps: 4 -> 5" in err
    assert "trainer.optimizer.lr: 0.001 -> 0.5" in err
    assert "overwrite=true" in err
    assert len(err.splitlines()) == 1
    assert snapshot(place) == before


def test_overwrite_trains_anew(place: Path, copied: Path, tmp_path: Path, capfd: Any) -> None:
    arguments = train_arguments(place, "bahdanau", f"outputs={tmp_path}", "name=elsewhere", "trainer.max_steps=2")
    (copied / "notes.md").write_text("the user's")
    (copied / "validations/99.txt").write_text("of the run before")
    assert main(["train", *arguments, "overwrite=true"]) == 0
    assert json.loads((copied / "summary.json").read_text())["steps"] == 2
    assert (copied / "notes.md").exists()
    assert not (copied / "validations/99.txt").exists()
    capfd.readouterr()
    assert main(["train", *arguments]) == 0
    assert "is finished" in capfd.readouterr().err


def test_overwrite_throws_nothing_away_for_a_run_that_cannot_begin(place: Path, copied: Path, tmp_path: Path) -> None:
    before = snapshot(copied)
    arguments = train_arguments(place, "bahdanau", f"outputs={tmp_path}", "name=elsewhere", "overwrite=true")
    assert main(["train", *arguments, "data.train.src=/nowhere"]) == 2
    assert main(["train", *arguments, "data.subwords.vocab_size=9999"]) == 2
    assert snapshot(copied) == before


def test_a_run_does_not_go_on_with_other_data(place: Path, copied: Path, tmp_path: Path, capfd: Any) -> None:
    """The paths are the same, the text behind them is not."""
    write_corpus(tmp_path)
    text = (tmp_path / "train.src").read_text()
    (tmp_path / "train.src").write_text(text.replace("dog", "god"))
    arguments = train_arguments(tmp_path, "bahdanau", f"outputs={tmp_path}", "name=elsewhere")
    (copied / "summary.json").unlink()
    saved = (copied / "config.yaml").read_text()
    (copied / "config.yaml").write_text(saved.replace(str(place), str(tmp_path)))
    before = snapshot(copied)
    assert main(["train", *arguments]) == 2
    assert "was begun with other data" in capfd.readouterr().err
    assert snapshot(copied) == before


# ---------------------------------------------------------------------------------------------------- interruptions


def start_and_wait(arguments: list[str], folder: Path, steps: int, said: Path) -> BaseProcess:
    """A training in its own process, once ``folder`` shows that it has made so many updates."""
    streams = [Path(os.devnull), Path(os.devnull), said]
    process = start_command("train", *arguments, env=ENVIRONMENT, streams=streams)
    metrics = folder / "metrics.jsonl"
    for _ in range(3000):
        if metrics.exists() and f'"step": {steps},' in metrics.read_text():
            return process
        assert process.exitcode is None, said.read_text()
        time.sleep(0.02)
    raise AssertionError("the training did not get going")


LONG = ["trainer.max_steps=200", "trainer.valid_every=100", "trainer.save_every=7", "trainer.log_every=1"]


@pytest.fixture(scope="module")
def straight(place: Path) -> Path:
    """The run of the interruptions, uninterrupted."""
    run("train", *train_arguments(place, "bahdanau", *LONG, "model.dropout=0.1", "name=straight"))
    return place / "outputs/straight"


@pytest.mark.parametrize(
    "signal_",
    [
        signal.SIGTERM,
        *(pytest.param(s, marks=pytest.mark.slow) for s in (signal.SIGKILL, signal.SIGINT, signal.SIGHUP)),
    ],
)
def test_a_stopped_training_goes_on_to_the_same_weights(
    signal_: signal.Signals, place: Path, straight: Path, tmp_path: Path, capfd: Any
) -> None:
    arguments = train_arguments(
        place, "bahdanau", *LONG, "model.dropout=0.1", f"outputs={tmp_path}", "name=stopped", "overwrite=true"
    )
    said = tmp_path / "said"
    process = start_and_wait(arguments, tmp_path / "stopped", 9, said)
    os.kill(process.pid or 0, signal_)
    process.join(60)
    assert not (tmp_path / "stopped/summary.json").exists(), "it was too fast to be stopped"
    if signal_ is signal.SIGKILL:
        assert process.exitcode == -signal.SIGKILL
        again = arguments[:-1]
    else:
        assert process.exitcode == 130
        line = said.read_text().splitlines()[-1]
        assert line.startswith("stopped and saved; to go on, the same command again: seq2seq train model=bahdanau")
        assert "overwrite" not in line, "that would throw the saved state away"
        again = line.partition(": ")[2].split()[2:]
    capfd.readouterr()
    assert main(["train", *again]) == 0
    assert "going on with" in capfd.readouterr().err
    ours, theirs = (load_file(folder / "checkpoints/last.safetensors") for folder in (straight, tmp_path / "stopped"))
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not ours[name].equal(theirs[name])] == []
    assert (straight / "evaluations/test/hypotheses.txt").read_text() == (
        tmp_path / "stopped/evaluations/test/hypotheses.txt"
    ).read_text()
    assert not [path for path in (tmp_path / "stopped/checkpoints").iterdir() if path.suffix != ".safetensors"] or (
        signal_ is signal.SIGKILL
    )


def test_a_stop_outside_the_training_loop_says_how_to_go_on(place: Path, capfd: Any, monkeypatch: Any) -> None:
    """While the data is prepared, or in the test."""

    def terminated(config: Config, group: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr("seq2seq.training.session.train", terminated)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["train", *train_arguments(place, "lstm", "overwrite=true", "name=a b")]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capfd.readouterr().err
    assert said.startswith("stopped; to go on, the same command again: seq2seq train model=lstm")
    assert said.endswith("'name=a b'\n")
    assert "overwrite" not in said


# ------------------------------------------------------------------------------------------------------- evaluate


FIGURES = {
    "sentences",
    "bleu",
    "bleu_signature",
    "chrf",
    "chrf_signature",
    "ppl",
    "nll",
    "bits_per_character",
    "token_accuracy",
    "length_ratio",
    "seconds",
    "sentences_per_second",
}


def test_evaluate_repeats_the_test(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    scores = json_of(capfd, str(attentive), "--out", str(tmp_path))
    assert scores.keys() >= FIGURES
    assert "ter" not in scores
    test = json.loads((attentive / "summary.json").read_text())["test"]
    for figure in FIGURES - {"seconds", "sentences_per_second"}:
        assert scores[figure] == test[figure], figure
    assert json.loads((tmp_path / "scores.json").read_text()) == scores
    assert (tmp_path / "hypotheses.txt").read_text() == (attentive / "evaluations/test/hypotheses.txt").read_text()


def test_evaluate_leaves_the_run_alone_when_told_where_to_write(place: Path, attentive: Path, tmp_path: Path) -> None:
    before = snapshot(place)
    assert main(["evaluate", str(attentive), "--out", str(tmp_path / "there")]) == 0
    assert snapshot(place) == before


def test_evaluate_scores_another_split(attentive: Path, place: Path, tmp_path: Path, capfd: Any) -> None:
    scores = json_of(capfd, str(attentive), "data.split=valid", "--corpus", "--out", str(tmp_path))
    assert scores["sentences"] == len((place / "valid.src").read_text().splitlines())
    lines = [json.loads(line) for line in (attentive / "metrics.jsonl").read_text().splitlines()]
    best = json.loads((attentive / "summary.json").read_text())["best_step"]
    expected = next(line["valid/nll"] for line in lines if line["step"] == best and "valid/nll" in line)
    assert scores["nll"] == pytest.approx(expected, rel=1e-5)


def test_a_strangers_run_reads_nothing_that_it_names(
    attentive: Path, place: Path, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Its saved text is scored; a split that it has not saved is refused, unless the user allows it or gives files."""
    shutil.rmtree(copied / "evaluations/valid")  # as older runs are
    secret, config = tmp_path / "secret", copied / "config.yaml"
    secret.write_text("".join("the dog sees\n" for _ in (place / "valid.src").read_text().splitlines()))
    text = config.read_text().replace(f"{place}/valid.src", str(secret))
    config.write_text(text.replace(f"{place}/cache", "/nowhere"))
    monkeypatch.chdir(tmp_path)
    assert json_of(capfd, str(copied), "--out", str(tmp_path / "out"))["sentences"] > 0
    assert main(["evaluate", str(copied), "data.split=valid"]) == 2
    assert "add --corpus if you trust it, or give files of your own" in capfd.readouterr().err
    files = [f"data.valid.src={place}/valid.src", f"data.valid.tgt={place}/valid.tgt"]
    scores = json_of(capfd, str(copied), "data.split=valid", *files, "--out", str(tmp_path / "out"))
    assert scores["sentences"] == len((place / "valid.src").read_text().splitlines())
    assert not (tmp_path / "data").exists()


def test_evaluate_scores_new_files_with_ter(attentive: Path, place: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "new.src").write_text("the dog sees\n\nthe cat\n")
    (tmp_path / "new.tgt").write_text("der hund sieht\nnichts\ndie katze\n")
    files = ["--src", str(tmp_path / "new.src"), "--ref", str(tmp_path / "new.tgt")]
    scores = json_of(capfd, str(attentive), *files, "--ter", "--out", str(tmp_path / "out"))
    assert scores["sentences"] == 3
    assert scores["ter"] > 0
    assert scores["ter_signature"]
    assert (tmp_path / "out/hypotheses.txt").read_text().split("\n")[1] == ""


def test_evaluate_reads_the_files_that_it_is_given_for_a_split(
    attentive: Path, place: Path, tmp_path: Path, capfd: Any
) -> None:
    files = [f"data.test.src={place}/train.src", f"data.test.tgt={place}/train.tgt"]
    scores = json_of(capfd, str(attentive), *files, "decode.beam=1", "--out", str(tmp_path))
    assert scores["sentences"] == len((place / "train.src").read_text().splitlines())


def test_evaluate_takes_another_search(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    capped = json_of(
        capfd, str(attentive), "decode.beam=1", "decode.max_ratio=0.01", "decode.max_extra=2", "--out", str(tmp_path)
    )
    free = json.loads((attentive / "summary.json").read_text())["test"]
    assert capped["length_ratio"] < free["length_ratio"]
    assert capped["nll"] == free["nll"]


def test_evaluate_takes_a_checkpoint_file(attentive: Path, place: Path, tmp_path: Path, capfd: Any) -> None:
    path = attentive / "checkpoints/last.safetensors"
    last = json_of(capfd, str(path), "data.split=valid", "--corpus", "--out", str(tmp_path))
    lines = [json.loads(line) for line in (attentive / "metrics.jsonl").read_text().splitlines()]
    assert last["nll"] == pytest.approx([line for line in lines if "valid/nll" in line][-1]["valid/nll"], rel=1e-5)


def test_evaluate_prints_a_table_in_80_columns(attentive: Path, tmp_path: Path, capfd: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["evaluate", str(attentive), "decode.beam=1", "--ter", "--out", str(tmp_path)]) == 0
    out = capfd.readouterr().out
    for figure in ("BLEU", "chrF", "TER", "perplexity", "bits a character", "token accuracy", "length ratio"):
        assert figure in out
    assert [
        line for line in out.splitlines() if len(line) > 80 and "signature" not in line and "scores and" not in line
    ] == []


def test_sacrebleus_own_command_gives_the_same_bleu(attentive: Path, place: Path) -> None:
    folder = attentive / "evaluations/test"
    command = [sys.executable, "-m", "sacrebleu", str(folder / "ref.txt"), "-i", str(folder / "hypotheses.txt")]
    done = subprocess.run(
        [*command, "-m", "bleu", "chrf", "--format", "json", "-w", "6"], capture_output=True, text=True, check=True
    )
    scores = json.loads((folder / "scores.json").read_text())
    bleu, chrf = json.loads(done.stdout)
    assert scores["bleu"] == pytest.approx(bleu["score"], abs=1e-6)
    assert scores["chrf"] == pytest.approx(chrf["score"], abs=1e-6)
    assert (folder / "ref.txt").read_bytes() == (place / "test.tgt").read_bytes()


def test_evaluations_of_other_options_and_files_lie_apart_and_are_listed(
    copied: Path, place: Path, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    sides = []
    for folder, text in (("a", "the dog\nthe cat\n"), ("b", "a child\nthe dog\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "news.en").write_text(text)
        (tmp_path / folder / "news.de").write_text("der hund\nein kind\n")
        sides.append(["--src", str(tmp_path / folder / "news.en"), "--ref", str(tmp_path / folder / "news.de")])
    ensemble = str(copied / "checkpoints/last.safetensors")
    other = ["decode.beam=2", "decode.length_penalty=none"]
    asked = [[], ["decode.beam=1"], other, ["data.tgt=zho_Hans"], *sides, [ensemble]]
    monkeypatch.chdir(copied)
    again = [asked[1], ["./checkpoints/last.safetensors"]]  # the last evaluations are the second and the ensemble's
    for arguments in [*asked, *again]:
        assert main(["evaluate", str(copied), *arguments]) == 0
    names = {path.parent.name for path in copied.glob("evaluations/*/hypotheses.txt")}
    other_options = {"beam=1", "beam=2-length_penalty=none", "tgt=zho_Hans"}
    assert {"test", "test-best", *(f"test-best-{each}" for each in other_options)} < names
    assert len([name for name in names if re.fullmatch("news.en-[0-9a-f]{6}-best", name)]) == 2
    assert len([name for name in names if re.fullmatch("test-ensemble-[0-9a-f]{6}", name)]) == 1
    assert len(names) == 8
    capfd.readouterr()
    assert main(["evaluate", str(copied), "--list", "--json"]) == 0
    [listed] = json.loads(capfd.readouterr().out).values()
    assert {each["name"] for each in listed} == names
    by_name = {each["name"]: each for each in listed}
    assert by_name["test-best-beam=1"]["options"] == {"decode.beam": 1}
    assert by_name["test-best-beam=1"]["scores"]["decode"]["beam"] == 1
    trained = Run(copied).load_summary()
    assert by_name["test"]["scores"]["steps"] == by_name["test-best"]["scores"]["steps"] == [trained["best_step"]]
    [of_ensemble] = [each["scores"]["steps"] for name, each in by_name.items() if "ensemble" in name]
    assert sorted(of_ensemble) == sorted([trained["best_step"], trained["steps"]])
    assert "tok:zh|" in by_name["test-best-tgt=zho_Hans"]["scores"]["bleu_signature"]
    assert sorted(each["text"] for each in listed)[:2] == [f"{side[1]} {side[3]}" for side in sides]
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["evaluate", str(copied), "--list"]) == 0
    table = capfd.readouterr().out
    assert max(map(len, table.splitlines())) <= 80
    assert "beam=1" in table
    assert f"{by_name['test-best']['scores']['bleu']:.2f}" in table


def test_threads_are_an_option_of_a_trained_run(attentive: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("the dog\n")
    asked = f"""
import torch
from seq2seq.cli.main import main
torch.set_num_threads(2)
assert main(["translate", {str(attentive)!r}, "--in", {str(tmp_path / "in")!r}, "trainer.threads=1"]) == 0
print(torch.get_num_threads())
"""
    (tmp_path / "asked.py").write_text(asked)
    done = run_command(module=str(tmp_path / "asked.py"))
    assert done.stdout.splitlines()[-1] == "1", done.stderr


def test_several_values_without_m_are_answered_with_the_way_to_do_it(capfd: Any) -> None:
    for several in (["experiment=transformer", "seed=1,2"], ["model=lstm,transformer"]):
        assert main(["train", *several]) == 2
        assert "train -m" in capfd.readouterr().err


def test_an_ensemble_is_no_single_model(attentive: Path, fixed: Path, tmp_path: Path, capfd: Any) -> None:
    both = json_of(capfd, str(attentive), str(fixed), "decode.beam=1", "--out", str(tmp_path))
    alone = [json_of(capfd, str(r), "decode.beam=1", "--out", str(tmp_path)) for r in (attentive, fixed)]
    assert both["nll"] not in [scores["nll"] for scores in alone]
    assert both["nll"] <= max(scores["nll"] for scores in alone)
    assert len(both["models"]) == 2 and both["decode"]["beam"] == 1


@pytest.mark.parametrize("verb", ["train", "evaluate", "translate", "configs", "completion"])
def test_every_verb_explains_itself(verb: str, capsys: Any) -> None:
    with contextlib.suppress(SystemExit):  # argparse ends the program after its help
        main([verb, "--help"])
    assert f"seq2seq {verb}" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------- translate


def test_translate_gives_a_line_for_a_line(attentive: Path) -> None:
    text = "the dog sees the cat\n\na\u2028child\u0085 knows\x0b\nthe old man\r\n   \nthe cat looks for a child"
    done = run("translate", str(attentive), "decode.beam=1", stdin=text.encode())
    lines = done.stdout.split("\n")
    assert lines.pop() == ""
    assert len(lines) == 6
    assert [bool(line) for line in lines] == [True, False, True, True, False, True]
    alone = run("translate", str(attentive), "decode.beam=1", stdin=b"the old man\n")
    assert alone.stdout == f"{lines[3]}\n"


def test_translate_reads_and_writes_files(attentive: Path, place: Path, tmp_path: Path, capfd: Any) -> None:
    out = tmp_path / "out.txt"
    assert main(["translate", str(attentive), "--in", str(place / "test.src"), "--out", str(out)]) == 0
    assert capfd.readouterr().out == ""
    assert out.read_text() == (attentive / "evaluations/test/hypotheses.txt").read_text()


def test_nbest_is_numbered_scored_and_sorted(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in.txt").write_text("the dog sees the cat\na child\n")
    source = ["--in", str(tmp_path / "in.txt")]
    assert main(["translate", str(attentive), *source, "decode.beam=3", "decode.nbest=3"]) == 0
    rows = [line.split("\t") for line in capfd.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "1", "2", "2", "2"]
    for number in "12":
        scores = [float(row[1]) for row in rows if row[0] == number]
        assert scores == sorted(scores, reverse=True)
        assert len({row[2] for row in rows if row[0] == number}) == 3


def test_sampling_repeats_under_a_seed(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in.txt").write_text("the dog sees the cat\n" * 4)
    drawn = []
    for seed in (1, 1, 2):
        options = ["decode.sample=true", "decode.temperature=3", f"seed={seed}"]
        assert main(["translate", str(attentive), "--in", str(tmp_path / "in.txt"), *options]) == 0
        drawn.append(capfd.readouterr().out)
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_empty_file_gives_an_empty_file(attentive: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").touch()
    out = tmp_path / "out.txt"
    assert main(["translate", str(attentive), "--in", str(tmp_path / "in.txt"), "--out", str(out)]) == 0
    assert out.read_text() == ""


def test_a_pipe_is_no_file_to_read_twice(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["translate", str(attentive), "--in", str(tmp_path / "pipe")]) == 2
    assert "standard input" in capfd.readouterr().err


def test_a_line_of_100_kb_is_named_and_every_other_one_translated(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    source, options = tmp_path / "in.txt", ["decode.beam=1", "decode.max_input=40"]
    lines = ["the dog", "the dog " * 12_500, "", "the old man"]
    source.write_text("".join(f"{line}\n" for line in lines))
    assert main(["translate", str(attentive), "--in", str(source), *options]) == 0
    cut = capfd.readouterr()
    assert "line 2: more than decode.max_input=40 tokens: only the first are read" in cut.err
    assert main(["translate", str(attentive), "--in", str(source), *options, "decode.too_long=refuse"]) == 2
    refused = capfd.readouterr()
    assert "line 2: more than decode.max_input=40 tokens: refused: its translation is an empty line" in refused.err
    assert [line for n, line in enumerate(cut.out.split("\n")) if n != 1] == refused.out.split("\n")[:1] + (
        refused.out.split("\n")[2:]
    )
    assert refused.out.split("\n")[1] == "" != cut.out.split("\n")[1]


def test_pipes_of_the_shell_are_translated_evaluated_and_aligned(
    attentive: Path, place: Path, tmp_path: Path, capfd: Any
) -> None:
    def piped(name: str) -> str:
        """As ``<(head -5 NAME)`` is."""
        end, into = os.pipe()
        os.write(into, b"".join((place / name).read_bytes().splitlines(True)[:5]))
        os.close(into)
        return f"/dev/fd/{end}"

    out = str(tmp_path / "piped.txt")
    assert main(["translate", str(attentive), "--in", piped("test.src"), "--out", out, "decode.beam=1"]) == 0
    scores = str(tmp_path / "scores")
    sides = ["--src", piped("test.src"), "--ref", piped("test.tgt")]
    assert main(["evaluate", str(attentive), *sides, "--out", scores, "decode.beam=1"]) == 0
    assert (tmp_path / "scores/hypotheses.txt").read_text() == (tmp_path / "piped.txt").read_text()
    sides = ["--src", piped("test.src"), "--ref", piped("test.tgt")]
    assert main(["align", str(attentive), *sides, "--out", str(tmp_path / "links")]) == 0
    assert len((tmp_path / "links").read_text().splitlines()) == 5
    assert "5 alignments" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["translate", "RUN", "--attention", "decode.nbest=2"], "--attention draws only the best translation"),
        (["translate", "RUN", "data.split=valid"], "data.split changes no translation"),
        (["translate", "RUN", "data.test.src=a"], "data.test.src changes no translation"),
        (["serve", "RUN", "data.tgt=fr"], "data.tgt changes no translation"),
        (["evaluate", "RUN", "--out", "FILE"], "is a file: name a folder"),
        (["evaluate", "RUN", "--out", "OWN"], "own: hypotheses.txt there is of no evaluation: name another folder"),
        (["align", "RUN", "--out", "."], "is a folder: name a file in it"),
        (["train", "init=RUN", "model.encoder=5", "model.encoder.width=3"], "encoder is set to 5"),
        (["average", "MEAN", "WEIGHTS"], "is one of the checkpoints, and the mean would replace it"),
    ],
)
def test_what_would_do_nothing_or_overwrite_is_one_line(
    arguments: list[str], said: str, copied: Path, tmp_path: Path, capfd: Any
) -> None:
    weights = copied / "checkpoints/last.safetensors"
    mean = Path(shutil.copy(weights, weights.with_name("average-of-2.safetensors")))
    (tmp_path / "own").mkdir()
    for file in (tmp_path / "file", tmp_path / "own" / "hypotheses.txt"):
        file.touch()
    names = {"RUN": copied, "FILE": tmp_path / "file", "OWN": tmp_path / "own", "MEAN": mean, "WEIGHTS": weights}
    before = mean.read_bytes()
    assert main([str(names.get(each, each.replace("=RUN", f"={copied}"))) for each in arguments]) == 2
    told = capfd.readouterr().err
    assert said in told and told.count("\n") == 1
    assert mean.read_bytes() == before


def test_closed_standard_input_is_one_line(attentive: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["translate", str(attentive)]) == 2
    assert "standard input is closed: give the text with --in FILE" in capfd.readouterr().err


def test_an_empty_file_has_no_translation_compressed_or_not(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in.txt").touch()
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress(b""))
    for name in ("in.txt", "in.txt.gz"):
        assert main(["translate", str(attentive), "--in", str(tmp_path / name)]) == 0
        assert capfd.readouterr().out == ""


def test_attention_is_drawn_in_80_columns(attentive: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in.txt").write_text("the dog\n" + "the old man looks for a child " * 8)
    assert main(["translate", str(attentive), "--in", str(tmp_path / "in.txt"), "--attention", "decode.beam=1"]) == 0
    out = capfd.readouterr().out
    translations = {line for line in out.splitlines() if len(line) > 80}
    assert len(translations) <= 2
    assert out.count("</s>") >= 2
    assert re.search(r" 0\.\d\d  ", out), "too wide for a grid: the places looked at most"


def test_a_fixed_context_says_that_it_has_no_attention(fixed: Path, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "in.txt").write_text("the dog\n")
    assert main(["translate", str(fixed), "--in", str(tmp_path / "in.txt"), "--attention"]) == 0
    assert "no attention" in capfd.readouterr().out


def test_translate_talks_with_a_person_at_a_terminal(attentive: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [SEQ2SEQ, "translate", str(attentive), "decode.beam=1"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,  # where Python writes the prompt
        env={**ENVIRONMENT, "TERM": "dumb"},
    )
    os.close(theirs)
    said = ""
    sentences = iter(["the old man\n", "the cat\n", "\n"])
    waiting = 0
    for _ in range(600):
        if process.poll() is not None:
            break
        if select.select([ours], [], [], 0.2)[0]:
            try:
                said += os.read(ours, 10_000).decode()
            except OSError:
                break
        if said.count("> ") > waiting:
            waiting += 1
            os.write(ours, next(sentences).encode())
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert said.count("> ") == 3
    answer = run("translate", str(attentive), "decode.beam=1", stdin=b"the old man\n").stdout.strip()
    assert answer in said


def test_a_run_folder_alone_translates_and_evaluates(
    place: Path, attentive: Path, copied: Path, tmp_path: Path, capfd: Any, monkeypatch: Any
) -> None:
    """The corpus and its cache are gone: the saved paths lead nowhere."""
    config = (copied / "config.yaml").read_text().replace(str(place), "/gone")
    (copied / "config.yaml").write_text(config.replace("device: auto", "device: cuda").replace("fp32", "fp16"))
    monkeypatch.chdir(tmp_path)
    scores = json_of(capfd, "elsewhere", "trainer.precision=fp32")
    assert scores["bleu"] == json.loads((attentive / "summary.json").read_text())["test"]["bleu"]
    (tmp_path / "in.txt").write_text("the dog\n")
    assert main(["translate", "elsewhere", "--in", "in.txt"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 1


def test_a_run_folder_may_have_an_equals_sign_in_its_name(copied: Path, tmp_path: Path, capfd: Any) -> None:
    folder = copied.rename(tmp_path / "lr=1")
    assert json_of(capfd, str(folder), "decode.beam=1")["sentences"] > 0


# ------------------------------------------------------------------------------------------------ help, completion


WITHOUT_TORCH = """
import sys
from seq2seq.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as exit:
    code = exit.code or 0
print(sorted({"torch", "datasets", "numpy", "sentencepiece", "sacrebleu"} & set(sys.modules)), code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        ([], 0),
        (["train", "--help"], 0),
        (["evaluate", "--help"], 0),
        (["translate", "-h"], 0),
        (["configs"], 0),
        (["completion", "--", "train", "trainer.max"], 0),
        (["train"], 2),
        (["train", "experiment=transformer", "trainer.max_stepz=3"], 2),
        (["train", "experiment=transformr"], 2),
        (["train", "experiment=transformer", "trainer.compile=true", "device=cpu"], 2),
        (["trian", "experiment=transformer"], 2),
        (["evaluate", "/nowhere"], 2),
        (["translate"], 2),
    ],
)
def test_quick_answers_load_nothing_heavy(arguments: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *arguments], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"[] {code}", done.stderr
    assert (code == 2) == done.stderr.startswith("seq2seq: error: ")


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "seq2seq", "trian"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "seq2seq: error: unknown verb trian; did you mean train? (see: seq2seq --help)\n"


def test_help_names_every_verb(capfd: Any) -> None:
    assert main(["--help"]) == 0
    out = capfd.readouterr().out
    assert all(f"seq2seq {verb}" in out for verb in VERBS)
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_versions_are_told_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, "--version"], capture_output=True, text=True)
    said, loaded = done.stdout.splitlines()
    assert said == f"seq2seq-trainer {version('seq2seq-trainer')} (torch {version('torch')})"
    assert loaded == "[] 0"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_one_shape_and_a_help_of_80_columns(verb: str, capsys: Any) -> None:
    module = importlib.import_module(f"seq2seq.cli.{verb}")
    assert all(callable(vars(module)[name]) for name in ("parser", "validate", "run"))
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: seq2seq {verb}")
    assert max(map(len, out.splitlines())) <= 80


def test_train_help_has_every_option_with_its_default(capfd: Any) -> None:
    assert main(["train", "--help"]) == 0
    lines = [line.split("   (")[0].strip() for line in capfd.readouterr().out.splitlines()]
    options = [option for section in ("data", "model", "trainer", "decode", "") for option in options_below(section)]
    assert len(options) > 100
    for key, limits, default, _ in options:
        shown = default if isinstance(default, (str, float, int)) and not isinstance(default, bool) else None
        if shown not in (None, "???"):
            assert f"{key}={shown}" in lines
        else:
            assert any(line.startswith(f"{key}=") for line in lines), key
        assert limits["help"]


def test_help_tells_numbers_from_switches(capfd: Any) -> None:
    assert main(["train", "--help"]) == 0
    out = capfd.readouterr().out
    for line in ("seed=1", "trainer.accumulate=1", "model.dropout=0.0", "overwrite=false", "data.subwords.joint=true"):
        assert f"  {line}\n" in out
    assert "  trainer.max_steps=none\n" in out
    assert "  model.encoder.layers=1   (type=recurrent)\n" in out
    assert "  model.encoder.layers=2   (type=transformer)\n" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tra"], {"train ", "translate "}),
        (
            ["train", "experiment=multi"],
            {f"experiment=multi30k/{m} " for m in ("bahdanau", "language_model", "lstm", "transformer")},
        ),
        (["train", "trainer.optimizer.sch"], {"trainer.optimizer.schedule="}),
        (["train", "exp"], {"experiment="}),
        (["train", "trainer.metric="], {f"trainer.metric={m} " for m in ("bleu", "chrf", "nll")}),
        (
            ["train", "model.encoder.type="],
            {f"model.encoder.type={t} " for t in ("constant", "recurrent", "transformer")},
        ),
        (["evaluate", "RUN", "data.sp"], {"data.split="}),
        (["translate", "RUN", "decode.be"], {"decode.beam="}),
        (["translate", "RUN", "trainer.max"], set()),
        (["compare", "study=sm"], {"study=smoke "}),
        (["compare", "see"], {"seeds="}),
        (["compare", "overw"], set()),
        (["translate", "RUN", "--at"], {"--attention "}),
        (["evaluate", "RUN", "--j"], {"--json "}),
        (["translate", "RUN", "--in", "dec"], set()),
        (["score", "--r"], {"--ref "}),
        (["completion", "z"], {"zsh "}),
    ],
)
def test_completion_offers_verbs_keys_and_values(words: list[str], expected: set[str], capfd: Any) -> None:
    assert main(["completion", "--", *words]) == 0
    assert {line for line in capfd.readouterr().out.split("\n") if line} == expected


SHELLS = {
    "bash": """COMP_LINE="seq2seq $LINE"; COMP_POINT=${#COMP_LINE}; COMP_WORDBREAKS="="
_seq2seq 2>/dev/null; printf "%s|" "${COMPREPLY[@]}" """,
    # Outside its line editor, zsh has none of these functions.
    "zsh": """compset() { false }; _files() { }
compadd() { while [[ $1 != -- ]] { shift }; shift; print -rn -- "${(j:|:)@}|" }
words=(seq2seq ${=LINE}); CURRENT=$#words; PREFIX=$words[-1]; _seq2seq""",
    "fish": """complete -C "seq2seq $LINE" | string join '|'""",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_scripts_complete_in_their_shells(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = run("completion", shell).stdout
    path = f"{Path(SEQ2SEQ).parent}:{os.environ['PATH']}"
    before = "compdef() { }\n" if shell == "zsh" else ""
    for line, expected in (
        ("train experiment=hyb", "experiment=hybrid"),
        ("translate RUN --att", "--attention"),
        ("translate RUN decode.be", "decode.beam="),
    ):
        done = subprocess.run(
            [shell, *(["-f"] if shell == "zsh" else []), "-c", f"{before}{script}\n{SHELLS[shell]}"],
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, "PATH": path, "LINE": line},
        )
        found = [each.strip() for each in done.stdout.split("|")]
        wanted = expected.partition("=")[2] or expected if shell == "bash" else expected
        assert wanted in found, done.stderr


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    done = subprocess.run(
        f"set -o pipefail; {SEQ2SEQ} configs | head -n 1", shell=True, executable="/bin/bash", capture_output=True
    )
    assert done.returncode == 0
    assert done.stderr == b""
