"""The commands of the comparison as a user runs them: real processes, a corpus of toy sentences, a whole page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq.report import reporting
from seq2seq.runs.run import Run
from seq2seq.study.resuming import differences
from tests.processes import forking, run_command

SEQ2SEQ = str(Path(sys.executable).parent / "seq2seq")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
NOUNS = {"the dog": "der hund", "the cat": "die katze", "a child": "ein kind", "the old man": "der alte mann"}
VERBS = {"sees": "sieht", "knows": "kennt", "looks for": "sucht"}


def run(*arguments: str, code: int = 0, first: Callable[[], object] | None = None) -> subprocess.CompletedProcess[str]:
    """A real process; its exit code is checked."""
    done = run_command(*arguments, env=ENVIRONMENT, timeout=300, first=first)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def write_corpus(folder: Path) -> None:
    pairs = [(f"{s} {v} {o}", f"{NOUNS[s]} {VERBS[v]} {NOUNS[o]}") for s in NOUNS for v in VERBS for o in NOUNS]
    parts = {"valid": pairs[::9], "test": pairs[1::9], "train": [p for n, p in enumerate(pairs) if n % 9 > 1]}
    for split, chosen in parts.items():
        for side, ending in enumerate(("src", "tgt")):
            (folder / f"{split}.{ending}").write_text("".join(f"{pair[side]}\n" for pair in chosen))


def study(folder: Path, *more: str) -> list[str]:
    """A study of two tiny models in ``folder``."""
    sides = [(split, side) for split in ("train", "valid", "test") for side in ("src", "tgt")]
    files = [f"data.{split}.{side}={folder}/{split}.{side}" for split, side in sides]
    data = [*files, "data.name=toy", "data.subwords.vocab_size=60", "data.subwords.byte_fallback=false"]
    trainer = ["trainer.max_tokens=null", "trainer.max_steps=4", "trainer.valid_every=2", "trainer.precision=fp32"]
    sizes = ["model.embedding=16", "model.encoder.width=16", "model.decoder.width=16", "tolerance=99"]
    places = [f"data.cache={folder}/cache", f"outputs={folder}/outputs"]
    own = ["study=text", "models=[lstm,bahdanau]", "seeds=[1]", "rates=[0.01,0.02]", "trials=[trainer.max_steps\\=2]"]
    own += ["optimizers=[adamw]", "widen=0", "finals=1"]
    return [*own, "buckets=[5]", *data, *trainer, *sizes, *places, *more]


VARIANTS = "variants=[{name:lstm-initial,of:lstm,overrides:[model.decoder.context\\=initial]}]"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study, its page, and what the command printed.

    Its trainings and measurements are forks, and its page is brief; the slow tests start interpreters, and draw
    all of it, as a user's study does.
    """
    folder = tmp_path_factory.mktemp("compare")
    write_corpus(folder)
    done = run("compare", *study(folder, VARIANTS), first=brief)
    (folder / "out").write_text(done.stdout)
    return folder


def brief() -> None:
    """Let pages have their first figure alone: to draw them all takes a quarter of a minute."""
    forking()
    whole = reporting.page_of
    reporting.page_of = lambda data: replace(whole(data), sections=[], explorer=None)


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_it_says_what_it_will_run_and_what_came_out(place: Path) -> None:
    out = (place / "out").read_text()
    for text in (
        "trials",
        "finals",
        "models × seeds",
        "variants",
        "about",
        "No verdict on",
        "report.html",
    ):
        assert text in out
    assert all(len(line) <= 80 for line in out.splitlines() if "/" not in line)


def test_every_trial_run_variant_and_measurement_is_there(place: Path) -> None:
    runs = place / "outputs/studies/text"
    trials = {path.name for path in (runs / "trials").iterdir() if path.is_dir()}
    assert trials == {
        f"{model}-adamw-{rate}" for model in ("lstm", "bahdanau", "language_model") for rate in ("0.01", "0.02")
    }
    finals = [path for path in (runs / "finals").iterdir() if path.is_dir()]
    assert sorted(path.name.split("-")[0] for path in finals) == ["bahdanau", "lstm"]
    weights = {path.name.split("-")[0]: (path / "checkpoints/best.safetensors").read_bytes() for path in finals}
    for model in ("lstm", "bahdanau"):
        assert (runs / model / "seed1/checkpoints/best.safetensors").read_bytes() == weights[model], "taken as it is"
    for name in ("lstm", "bahdanau", "lstm-initial", "language_model"):
        assert (runs / name / "seed1/summary.json").exists()
    measured = {path.stem for path in (runs / "bahdanau/seed1/measurements").iterdir()}
    assert {path.stem for path in (runs / "language_model/seed1/measurements").iterdir()} == {"forgetting"}
    assert {"interventions", "attention", "forgetting", "probe", "extrapolation", "search", "cost"} <= measured


def test_the_page_and_its_numbers_are_there(place: Path) -> None:
    check_page(place / "outputs/studies/text/report")


def check_page(report: Path) -> None:
    assert (report / "report.html").stat().st_size < 6_000_000
    assert "bahdanau" in (report / "report.md").read_text()
    assert json.loads((report / "report.json").read_text())
    assert (report / "figures/bleu-by-length.svg").exists() and (report / "figures/bleu-by-length.csv").exists()


def test_forgetting_on_text_without_gold_goes_by_attention(place: Path) -> None:
    found = place / "outputs/studies/text/lstm/seed1/measurements/forgetting.json"
    assert json.loads(found.read_text())["rows"]


@pytest.mark.slow
def test_report_refuses_what_is_not_alike_and_marks_it_when_told_to_go_on(place: Path, tmp_path: Path) -> None:
    runs = [str(place / "outputs/studies/text" / name) for name in ("lstm/seed1", "trials/bahdanau-adamw-0.02")]
    assert "trainer.max_steps" in run("report", *runs, "--out", str(tmp_path / "no"), code=2).stderr
    assert not (tmp_path / "no").exists()
    marked = run(
        "report", *runs, "--out", str(tmp_path / "yes"), "--buckets", "5", "--anyway", "--corpus", first=brief
    ).stdout
    assert "is not like" in " ".join(marked.split()) and "yes/report.html" in marked
    assert "is not like" in (tmp_path / "yes/report.html").read_text()


@pytest.mark.slow
def test_what_is_there_is_left_alone_and_a_run_that_fails_is_named(place: Path) -> None:
    finished = [place / f"outputs/studies/text/{model}/seed1" for model in ("lstm", "bahdanau")]
    before = [stamps(folder) for folder in finished]
    broken = place / "outputs/studies/text/lstm/seed2"
    broken.mkdir(parents=True)
    (broken / "config.yaml").write_text("{}\n")
    done = run("compare", *study(place, "seeds=[1,2]"), code=1)
    assert "lstm/seed2 failed" in done.stderr and "left out" in done.stdout
    assert (place / "outputs/studies/text/bahdanau/seed2/summary.json").exists()
    assert [stamps(folder) for folder in finished] == before
    check_page(place / "outputs/studies/text/report")


def test_models_of_unequal_size_are_refused_before_anything_is_trained(place: Path, tmp_path: Path) -> None:
    arguments = [a for a in study(place, f"outputs={tmp_path}/outputs") if not a.startswith("tolerance=")]
    said = run("compare", *arguments, code=2).stderr
    assert "parameters" in said and "tolerance" in said
    assert not (tmp_path / "outputs/studies/text/trials").exists()


@pytest.mark.slow
def test_a_stop_saves_every_run_and_the_same_command_goes_on(place: Path, tmp_path: Path) -> None:
    untuned = ["rates=[]", "optimizers=[]", "finals=0"]
    arguments = study(place, f"outputs={tmp_path}/outputs", *untuned, "trainer.max_steps=400", "trainer.save_every=3")
    process = subprocess.Popen(
        [SEQ2SEQ, "compare", *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=ENVIRONMENT
    )
    saved = tmp_path / "outputs/studies/text/lstm/seed1/checkpoints/last.safetensors"
    until = time.monotonic() + 120
    while not saved.exists():
        assert process.poll() is None and time.monotonic() < until, process.stderr and process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr is not None and "the same command again" in process.stderr.read()
    assert not (tmp_path / "outputs/studies/text/lstm/seed1/summary.json").exists()
    done = run("compare", *arguments)
    log = (tmp_path / "outputs/studies/text/logs/lstm-seed1.log").read_text()
    assert "going on with" in log and "report.html" in done.stdout


@pytest.mark.slow
def test_a_study_by_joblib_gives_the_same_bits_and_loses_no_run_to_one_that_fails(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    fails = "variants=[{name:lstm-half,of:lstm,overrides:[trainer.precision\\=fp16]}]"  # needs a GPU
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = run("compare", *study(place, f"outputs={tmp_path}/outputs", fails), *launcher, code=1)
    assert "lstm-half/seed1 failed and is left out" in " ".join(done.stdout.split())
    for name in ("lstm/seed1", "bahdanau/seed1", "trials/lstm-adamw-0.02"):
        ours, theirs = (folder / "outputs/studies/text" / name for folder in (place, tmp_path))
        assert [each for each in differences(Run(ours), Run(theirs)) if not each.startswith("measurements/")] == []
    probes = [folder / "outputs/studies/text/lstm/seed1/measurements/probe.json" for folder in (place, tmp_path)]
    first, second = (json.loads(path.read_text()) | {"origin": None} for path in probes)
    assert first == second
    before = stamps(tmp_path / "outputs/studies/text/lstm")
    run("compare", *study(place, f"outputs={tmp_path}/outputs"), *launcher)
    assert stamps(tmp_path / "outputs/studies/text/lstm") == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "study=smoke", "hydra/launcher=joblip"], "did you mean joblib?"),
        (["compare", "study=smoke", "workers=2", "hydra/launcher=basic"], "both say how many"),
        (["compare", "study=smok"], "did you mean smoke?"),
        (["compare", "study=smoke", "trainer.max_token=5"], "did you mean trainer.max_tokens?"),
        (["compare", "study=text"], "data.train.src is not set"),
        (["report", "/nowhere"], "/nowhere"),
        (["report", "x", "--buckets", "a,b"], "give growing numbers"),
        (["score", "--ref", "/nowhere", "/nowhere"], "/nowhere"),
        (["align", "/nowhere"], "/nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    error = run(*arguments, code=2).stderr
    assert said in error and error.startswith("seq2seq: error: ") and error.count("\n") == 1


@pytest.mark.parametrize("verb", ["compare", "report", "align", "score"])
def test_every_verb_explains_itself(verb: str) -> None:
    out = run(verb, "--help").stdout
    assert f"seq2seq {verb}" in out and max(map(len, out.splitlines())) <= 80
