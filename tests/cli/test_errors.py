"""Mistakes of the user's: each is one line on stderr, exit code 2, and leaves nothing half-written behind."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seq2seq.cli.main import main
from tests.processes import run_command

SEQ2SEQ = str(Path(sys.executable).parent / "seq2seq")
SENTENCES = [
    f"{who} {does} {what}" for who in ("ab", "ba", "aab") for does in ("ca", "cb") for what in ("aa", "bb", "c")
]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: Any) -> Path:
    """The working directory, with text files in it."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "valid", "test"):
        for side in ("src", "tgt"):
            (tmp_path / f"{split}.{side}").write_text("".join(f"{line}\n" for line in SENTENCES))
    return tmp_path


def train(*more: str) -> list[str]:
    """A training that would be over at once."""
    files = [f"data.{split}.{side}={split}.{side}" for split in ("train", "valid", "test") for side in ("src", "tgt")]
    data = ["data=text", *files, "data.subwords.vocab_size=20", "data.subwords.byte_fallback=false", "data.cache=cache"]
    size = ["model.embedding=8", "model.encoder.width=8", "model.decoder.width=8", "model.decoder.context_width=8"]
    limits = ["trainer.max_tokens=null", "trainer.max_steps=1", "trainer.threads=1", "trainer.samples=0"]
    return ["train", "model=lstm", *size, *data, *limits, "trainer.precision=fp32", *more]


def complaint(capfd: Any, arguments: list[str]) -> str:
    """The one line that the command says, its exit code checked."""
    capfd.readouterr()
    assert main(arguments) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("seq2seq: error: ")
    return lines[0].removeprefix("seq2seq: error: ")


def left_behind(folder: Path) -> list[str]:
    """Files that are not the corpus."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".src", ".tgt")
    )


# ------------------------------------------------------------------------------------------------------------ data


def _shorter(folder: Path) -> None:
    (folder / "train.tgt").write_text("one\n")


def _not_utf8(folder: Path) -> None:
    (folder / "train.src").write_bytes(b"ab ca aa\n" * 4 + b"caf\xe9\n" + b"x\n" * 13)


def _empty(folder: Path) -> None:
    for side in ("src", "tgt"):
        (folder / f"train.{side}").write_text("")


def _blank(folder: Path) -> None:
    for side in ("src", "tgt"):
        (folder / f"train.{side}").write_text("\n\n")


DATA: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "files of different lengths": (_shorter, "", "train.src has 18 lines but train.tgt has 1"),
    "a missing file": (lambda f: (f / "test.tgt").unlink(), "", "test.tgt: no such file"),
    "text that is not UTF-8": (_not_utf8, "", "train.src:5: not UTF-8 (byte 0xe9)"),
    "an empty corpus": (_empty, "", "train.src is an empty corpus"),
    "a corpus of empty lines": (_blank, "", "no pair is left to train on"),
    "a folder for a file": (lambda f: None, "data.train.src=cache", "cache is a folder"),
    "half a split": (lambda f: None, "data.valid.tgt=null", "data.valid.tgt is not set"),
    "too large a vocabulary": (
        lambda f: None,
        "data.subwords.vocab_size=5000",
        "vocab_size=5000 is more than the text",
    ),
    "a cache that cannot be written": (lambda f: None, "data.cache=train.src", "cannot be written (Not a directory)"),
    "outputs that cannot be written": (
        lambda f: None,
        "outputs=train.src/below",
        "cannot be written (Not a directory)",
    ),
    "a name that is too long": (lambda f: None, "name=" + "x" * 300, "is too long for the name of a folder"),
    "a place that no one can make": (lambda f: None, "data.cache=/proc/nowhere", "/proc/nowhere"),
}


@pytest.mark.parametrize("mistake", DATA)
def test_wrong_data_or_places_are_one_line_and_leave_nothing(mistake: str, corpus: Path, capfd: Any) -> None:
    prepare, option, message = DATA[mistake]
    (corpus / "cache").mkdir()
    prepare(corpus)
    assert message in complaint(capfd, train(*([option] if option else [])))
    left = [path for path in left_behind(corpus) if not path.startswith("cache/prepared/")]
    assert left == []
    assert not list((corpus / "outputs").glob("*"))
    assert not list(corpus.glob("cache/prepared/.*")), "no half-written cache"


def test_the_largest_possible_vocabulary_is_named_and_possible(corpus: Path, capfd: Any) -> None:
    said = complaint(capfd, train("data.subwords.vocab_size=5000"))
    possible = int(said.split("set it to ")[1].split()[0])
    assert main(train(f"data.subwords.vocab_size={possible}")) == 0


def test_a_hub_out_of_reach_is_one_line(corpus: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(corpus / "hf"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [SEQ2SEQ, "train", "experiment=multi30k/lstm", "data.cache=cache"],
        env=environment,
        cwd=corpus,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("seq2seq: error: hub bentrevett/multi30k: the hub is out of reach")
    assert not (corpus / "outputs").exists()
    assert not [path for path in left_behind(corpus) if not path.startswith("hf/")]


# ---------------------------------------------------------------------------------------------------------- options

OPTIONS = {
    "an unknown key": (["trainer.max_stepz=3"], "unknown key trainer.max_stepz; did you mean trainer.max_steps?"),
    "an unknown group": (["modell=lstm"], "unknown key modell; did you mean model?"),
    "an unknown model": (["model=lstn"], "unknown model lstn; did you mean lstm? (there are: bahdanau"),
    "another model's key": (["model.encoder.heads=2"], "model.encoder.heads is no option of the model that was chosen"),
    "a word for a number": (["trainer.max_steps=many"], "trainer.max_steps=many: a whole number is needed"),
    "half a step": (["trainer.max_steps=1.5"], "trainer.max_steps=1.5: a whole number is needed"),
    "a list for a number": (["seed=[1,2]"], "seed=[1, 2]: a whole number is needed"),
    "a truth value for a number": (["seed=true"], "seed=true: a whole number is needed"),
    "a word for a rate": (["trainer.optimizer.lr=fast"], "trainer.optimizer.lr=fast: a number is needed"),
    "a word among numbers": (["data.weights=[1,x]"], "data.weights[1]=x: a number is needed"),
    "a number for a list": (["data.weights=3"], "data.weights: a list is needed, as in data.weights=[…,…]"),
    "nothing for a number": (["trainer.batch_tokens=null"], "trainer.batch_tokens=null: a value is needed"),
    "a sweep": (["trainer.max_steps=1,2"], "trainer.max_steps=1,2"),
    "negative steps": (["trainer.max_steps=-1"], "trainer.max_steps=-1 is too small: the smallest value is 1"),
    "a rate of zero": (["trainer.optimizer.lr=0"], "trainer.optimizer.lr=0.0 is too small: it must be above 0"),
    "a length without end": (["decode.max_ratio=1e20"], "decode.max_ratio=1e+20 is too large: the largest value is"),
    "a penalty without end": (["decode.alpha=500"], "decode.alpha=500.0 is too large: the largest value is 50"),
    "a certain dropout": (["model.dropout=1"], "model.dropout=1.0 is too large: the largest value is 0.95"),
    "a wrong choice": (["trainer.metric=blue"], "choose one of bleu, chrf, nll; did you mean bleu?"),
    "no value": (["trainer.max_steps="], "trainer.max_steps"),
    "no sign": (["trainer.max_steps"], "give key=value"),
    "a deletion": (["~seed=1"], "give key=value"),
    "an addition": (["+trainer.foo=1"], "unknown key trainer.foo"),
    "fp16 without a GPU": (["trainer.precision=fp16", "device=cpu"], "trainer.precision=fp16 needs a GPU"),
    "a compiled step on a CPU": (["trainer.compile=true", "device=cpu"], "trainer.compile=true needs a GPU with CUDA"),
    "a compiled step on a Mac": (["trainer.compile=true", "device=mps"], "not device=mps: leave it out"),
    "compiled shards": (["trainer.compile=true", "trainer.shard=true"], "do not go together: leave one of them out"),
    "a word for a switch": (["trainer.compile=reduce"], "trainer.compile=reduce: true or false is needed"),
    "two tables tied of two vocabularies": (["data.subwords.joint=false"], "model.tie=all needs one vocabulary"),
    "a half-open bracket": (["seed=[1"], "is not understood"),
}


@pytest.mark.parametrize("mistake", OPTIONS)
def test_wrong_options_are_one_line_and_leave_nothing(mistake: str, corpus: Path, capfd: Any) -> None:
    options, message = OPTIONS[mistake]
    assert message in complaint(capfd, train(*options))
    assert left_behind(corpus) == []


def test_a_compiled_step_is_refused_where_the_device_that_is_found_is_no_gpu(
    corpus: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert "trainer.compile=true needs a GPU with CUDA, not device=cpu" in complaint(
        capfd, train("trainer.compile=true")
    )
    assert left_behind(corpus) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["model=transformer", "model.encoder.heads=3"],
            "model.encoder.heads=3 does not divide model.encoder.width=128",
        ),
        (
            ["model=transformer", "model.decoder.positions=rotary", "model.decoder.heads=128"],
            "model.decoder.heads=128 gives a head 1: choose heads so that it is even",
        ),
        (["experiment=lstn"], "unknown experiment lstn; did you mean lstm?"),
        (["data=text"], "say what to train: experiment=lstm, bahdanau, transformer, … (seq2seq configs lists all)"),
        (["experimnt=lstm"], "experimnt; did you mean experiment?"),
        (["lstm"], "'lstm' is not understood; did you mean experiment=lstm?"),
        (["mine.yaml"], "'mine.yaml' is not understood; did you mean experiment=mine.yaml?"),
        (["lstm", "trainer.lr=1"], "did you mean experiment=lstm?"),
        (["lstn"], "'lstn' is not understood; did you mean experiment=lstm?"),
        (["trainer.max_steps"], "'trainer.max_steps' is not understood: give key=value"),
        (["experiment=lstm", "mine.yaml"], "'mine.yaml' is not understood; did you mean experiment=mine.yaml?"),
        (["-m", "lstm,bahdanau", "seed=1,2"], "did you mean experiment=lstm,bahdanau?"),
        (["-m", "mine.yml"], "did you mean experiment=mine.yml?"),
        (["experiment="], "unknown experiment"),
    ],
)
def test_impossible_or_unknown_configs_are_one_line(
    arguments: list[str], message: str, corpus: Path, capfd: Any
) -> None:
    assert message in complaint(capfd, ["train", *arguments])
    assert left_behind(corpus) == []


OWN = {
    "a path that does not exist": (None, "mine.yaml: cannot be read (No such file or directory)"),
    "what is not YAML": ("trainer: [\n", "mine.yaml: not YAML"),
    "a list": ("- a\n", "mine.yaml: not a config"),
    "an unknown key": ("trainer:\n  max_stepz: 3\n", "mine.yaml: unknown key trainer.max_stepz; did you mean"),
    "a wrong type": (
        "trainer:\n  max_steps: many\n",
        "mine.yaml: trainer.max_steps=many: a whole number is needed",
    ),
    "a model that is not there": ("defaults:\n  - override /model: lstn\n", "model/lstn"),
    "a group as a key": (
        "model: lstm\n",
        "mine.yaml: to choose a model, write under `defaults:` - override /model",
    ),
}


@pytest.mark.parametrize("mistake", OWN)
def test_a_wrong_file_of_ones_own_is_one_line(mistake: str, corpus: Path, capfd: Any) -> None:
    text, message = OWN[mistake]
    if text is not None:
        (corpus / "mine.yaml").write_text(text)
    said = complaint(capfd, ["train", "experiment=mine.yaml", *train()[2:]])
    assert message in said
    assert not said.endswith(":"), "the line ends where the explanation should begin"
    assert not (corpus / "outputs").exists()


@pytest.mark.parametrize("name", ["lstm.yaml", "my own, 1.yaml", "sub/mine.yml"])
def test_a_file_of_ones_own_may_have_any_name(name: str, corpus: Path, monkeypatch: Any) -> None:
    """One that is called like a shipped experiment is not mistaken for it."""
    from seq2seq.config.compose import compose

    (corpus / name).parent.mkdir(exist_ok=True)
    (corpus / name).write_text("defaults:\n  - override /model: bahdanau\nseed: 77\n")
    config = compose([f"experiment={name}", "trainer.max_steps=5"])
    assert (config.model.name, config.seed, config.trainer.max_steps) == ("bahdanau", 77, 5)


# ------------------------------------------------------------------------------------------------------ trained runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus and a finished run at ``run``. Nobody changes what is in it."""
    folder = tmp_path_factory.mktemp("errors")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for split in ("train", "valid", "test"):
            for side in ("src", "tgt"):
                Path(f"{split}.{side}").write_text("".join(f"{line}\n" for line in SENTENCES))
        assert main(train("outputs=.", "name=run")) == 0
    finally:
        os.chdir(before)
    return folder / "run"


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def _cut_short(run: Path) -> None:
    path = run / "checkpoints/best.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


def _of_another_kind(run: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, run / "checkpoints/best.safetensors")


def _of_another_model(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    assert "width: 8" in text
    (run / "config.yaml").write_text(text.replace("width: 8", "width: 9"))


RUNS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a checkpoint cut short": (_cut_short, "best.safetensors: damaged or cut short"),
    "a checkpoint of another kind": (_of_another_kind, "best.safetensors: not a checkpoint of this program"),
    "a checkpoint of another model": (_of_another_model, "best.safetensors: the weights of another model"),
    "no checkpoint": (lambda run: shutil.rmtree(run / "checkpoints"), "the run has no checkpoint yet"),
    "no config": (lambda run: (run / "config.yaml").unlink(), "not a run folder"),
    "no subwords": (lambda run: shutil.rmtree(run / "subwords"), "no whole subword model"),
    "damaged subwords": (lambda run: (run / "subwords/src.model").write_bytes(b"x" * 50), "no whole subword model"),
    "no folder": (lambda run: shutil.rmtree(run), "no run folder and no checkpoint"),
}


@pytest.mark.parametrize("mistake", RUNS)
@pytest.mark.parametrize("verb", ["translate", "evaluate"])
def test_a_damaged_run_is_one_line(verb: str, mistake: str, copied: Path, capfd: Any) -> None:
    damage, message = RUNS[mistake]
    damage(copied)
    source = ["--in", "/dev/null"] if verb == "translate" else []
    assert message in complaint(capfd, [verb, str(copied), *source])


ASKED = {
    "an unknown key": (["decode.bem=3"], "unknown key decode.bem; did you mean decode.beam?"),
    "a key of the training": (["trainer.max_steps=3"], "trainer.max_steps cannot be changed on a trained run"),
    "a word for a number": (["decode.beam=x"], "decode.beam=x: a whole number is needed"),
    "no beam": (["decode.beam=0"], "decode.beam=0 is too small"),
    "more hypotheses than the beam": (["decode.beam=2", "decode.nbest=3"], "decode.nbest=3 is above decode.beam=2"),
    "an unknown flag": (["--bean"], "unrecognized arguments: --bean (see: seq2seq"),
    "another run's subwords": (["OTHER"], "an ensemble must share them"),
}


@pytest.mark.parametrize("mistake", ASKED)
def test_a_wrong_wish_of_a_run_is_one_line(mistake: str, trained: Path, copied: Path, capfd: Any) -> None:
    arguments, message = ASKED[mistake]
    if arguments == ["OTHER"]:
        model = (copied / "subwords/src.model").read_bytes()
        (copied / "subwords/src.model").write_bytes(model + model[:0] + b"\x1a\x00")
        arguments = [str(copied)]
    assert message in complaint(capfd, ["evaluate", str(trained), *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translate", "RUN", "--in", "nowhere.txt"], "nowhere.txt: no such file"),
        (["translate", "RUN", "test.src"], "test.src: no run folder and no checkpoint (.safetensors) there: a text is"),
        (["train", "test.src", "test.tgt"], "'test.src' is not understood: a text is given by data.train.src=…"),
        (["translate", "RUN", "--in", "test.src", "--out", "folder"], "--out folder is a folder: name a file in it"),
        (["translate", "RUN", "--in", "test.src", "--out", "test.src/x"], "cannot be written"),
        (["translate", "RUN", "--in", "test.src", "--out", "./test.src"], "is the text of --in, which would be lost"),
        (["translate", "RUN", "--in", "test.src", "--out", "link"], "--out link is the text of --in"),
        (["align", "RUN", "--src", "test.src", "--ref", "test.tgt", "--out", "test.tgt"], "is the text of --ref"),
        (["evaluate", "RUN", "--out", "test.src/x"], "cannot be written"),
        (["evaluate", "RUN", "--src", "test.src"], "--src and --ref belong together"),
        (["evaluate", "RUN", "--src", "test.src", "--ref", "one.tgt"], "test.src has 18 lines but one.tgt has 1"),
        (["evaluate", "RUN", "--src", "bad.src", "--ref", "bad.src"], "bad.src:1: not UTF-8"),
    ],
)
def test_wrong_files_are_one_line(arguments: list[str], message: str, trained: Path, corpus: Path, capfd: Any) -> None:
    (corpus / "folder").mkdir()
    (corpus / "one.tgt").write_text("one\n")
    (corpus / "bad.src").write_bytes(b"\xff\n")
    (corpus / "link").symlink_to("test.src")
    before = (corpus / "test.src").read_bytes(), (corpus / "test.tgt").read_bytes()
    assert message in complaint(capfd, [str(trained) if word == "RUN" else word for word in arguments])
    assert ((corpus / "test.src").read_bytes(), (corpus / "test.tgt").read_bytes()) == before


@pytest.mark.parametrize(
    "more", [["--src", "a", "--ref", "b"], ["--ref", "b"], ["--ter"], ["--out", "a"], ["--corpus"]]
)
def test_a_list_of_evaluations_scores_nothing(more: list[str], capfd: Any) -> None:
    assert complaint(capfd, ["evaluate", "run", "--list", *more]).startswith(f"--list scores nothing: leave {more[0]} ")


def test_input_that_is_not_utf8_is_one_line(trained: Path) -> None:
    done = run_command("translate", str(trained), stdin=b"ab ca\n\xff\n")
    assert done.returncode == 2
    assert done.stderr == "seq2seq: error: standard input:2: not UTF-8 (byte 0xff): convert the file to UTF-8\n"


# ------------------------------------------------------------------------------------------------------ a full disk


@pytest.mark.parametrize(
    ("limit", "options", "full"),
    [
        (40_000, ["model.encoder.width=64"], "/checkpoints/best.safetensors"),
        (12_000, ["trainer.max_steps=120", "trainer.valid_every=120", "trainer.log_every=1"], ""),
    ],
)
def test_a_disk_that_fills_while_training_is_one_line(limit: int, options: list[str], full: str, corpus: Path) -> None:
    """The largest file that the process may write is smaller than what it has to write."""
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    done = run_command(*train(*options), cwd=corpus, first=limited)
    assert done.returncode == 2
    said = done.stderr.splitlines()
    assert said[-1].startswith(f"seq2seq: error: outputs/text/lstm/seed1{full}: the disk is full")
    assert "Traceback" not in done.stderr
    assert not list(corpus.rglob("*.tmp"))
    assert main(train(*options)) == 0, "the same command goes on once there is room"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_one_line(trained: Path, corpus: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [SEQ2SEQ, "translate", str(trained), "--in", "test.src"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    assert done.returncode == 2
    assert done.stderr == "seq2seq: error: output: No space left on device\n"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 29 GB")])
def test_where_memory_runs_out_the_line_says_what_to_make_smaller(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr("seq2seq.cli.main._run", fail)
    assert main(["configs"]) == 2
    said = capfd.readouterr().err
    assert said.startswith("seq2seq: error: the memory is not enough: lower trainer.batch_tokens")
    assert said.count("\n") == 1
