"""Every command of README.md and docs/ is understood by the program; those that are not marked as too long are run.

How a block is marked stands in ``documented_commands``. Options are checked by the program's own parsers, and what
``make`` would start is asked of ``make -n``; small models and texts lie where the pages say that one's own are.
"""

from __future__ import annotations

import ast
import importlib
import random
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.cli.train import config_of
from seq2seq.cli.verbs import VERBS
from seq2seq.config.sweep import combinations, take_launcher
from seq2seq.grammar import sentence
from seq2seq.study.sweep import plan
from tests.documented_commands import PAGES, ROOT, Block, Command, blocks

BLOCKS = [*blocks()]
MODELS = ("lstm", "bahdanau", "transformer")
CORPUS = ["data.grammar.pairs=300", "data.grammar.valid=5", "data.grammar.test=12", "data.grammar.max_words=12"]
SMALL = ["trainer.max_steps=2", "trainer.valid_every=2", "trainer.samples=0", "trainer.batch_tokens=300"]
SMALL += ["trainer.threads=1", "trainer.precision=fp32", "data.filters.max_length=100", "device=cpu"]
SIZES = ["model.embedding=16", "model.encoder.width=16", "model.decoder.width=16"]
SUBWORDS = ["data.subwords.vocab_size=330"]
FEW = 12  # lines of a text
HELD_OUT = "data.holdout=2"
FURTHER = ("studies/embedded/bahdanau/seed1", "studies/embedded/transformer/seed1", "multi30k/transformer/seed1")
FURTHER += tuple(f"studies/quick/{model}/seed1" for model in ("lstm", "bahdanau", "transformer"))
"""Runs that pages name beside those of the embedded corpus."""
OWN_FILE = re.compile(r"^```yaml\n# ([\w.-]+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
"""A file of the user's that a page shows: its name, its lines."""
FREE = {"echo", "source"}
"""Commands of the shell that are neither run nor marked."""
FOREIGN = FREE | {"argos", "cat", "comet", "curl", "du", "git", "hf", "pip", "pytest", "python3", "srun", "tail"}
FOREIGN |= {"trackio"}
"""Other programs, or folders of them."""
RUNS = {*VERBS} - {"compare", "serve"}  # verbs that are run; the others have to be marked
LONG = {"onnx", "argos", "ctranslate2", "report"}  # exports compare many translations, and a page asks every run much


pytestmark = pytest.mark.usefixtures("composed_once")  # the same arguments stand in many places


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a clone in which the three models have been trained, with texts of the user's beside them."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "constraints.txt", folder)
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("installed", "bin/seq2seq", "bin/python", "bin/torchrun", "bin/tensorboard"):
        (folder / ".venv" / name).touch(mode=0o755)
    for model in MODELS:
        places = [f"outputs={folder}/outputs", f"data.cache={folder}/data"]
        seq2seq.train([f"experiment={model}", *places, *SIZES, *CORPUS, *SMALL, *SUBWORDS])
    for run in FURTHER:
        source = folder / "outputs/embedded" / run.split("/")[-2] / "seed1"
        shutil.copytree(source, folder / "outputs" / run)
    write_texts(folder)
    return folder


def write_texts(folder: Path) -> None:
    """Pairs of the grammar under all the names that the pages give to a user's own text."""
    names = ("train", "my", "val", "test", "text", "tok", "general", "news", "talks/one", "src", "ref")
    (folder / "talks").mkdir()
    draw = random.Random(5)
    for name in names:
        pairs = [sentence(draw, 3 + n % 8) for n in range(150 if name == "train" else FEW)]
        for ending, lines in (("en", [pair.src for pair in pairs]), ("de", [pair.tgt for pair in pairs])):
            (folder / f"{name}.{ending}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for name in ("a.txt", "b.txt", "d.txt"):
        shutil.copy(folder / "ref.de", folder / name)
    for name in ("a.comet", "d.comet"):
        (folder / name).write_text("".join(f"{n / 100}\n" for n in range(FEW)))
    (folder / "gold.pharaoh").write_text("0-0\n" * FEW)
    (folder / "mine.yaml").write_text("defaults:\n  - override /model: lstm\n")
    for page in PAGES:
        for file, lines in OWN_FILE.findall(page.read_text(encoding="utf-8")):
            (folder / file).write_text(lines, encoding="utf-8")


def made(place: Path, words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The commands of this program that ``make`` would start."""
    done = subprocess.run(["make", "-n", *words[1:]], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("\\\n", " ").splitlines()
    found = (re.search(r"(?:bin/seq2seq|-m seq2seq) (.*)", line) for line in lines)
    return [("seq2seq", *shlex.split(each[1])) for each in found if each]


def check(command: Command, place: Path) -> None:
    """Fail unless the program that a command starts exists and takes these arguments."""
    program, *rest = command.words
    if program == "seq2seq":
        check_verb(rest)
    elif program == "make":
        for words in made(place, command.words):
            check_verb(list(words[1:]))
    elif program == "torchrun":
        check_verb(rest[rest.index("-m") + 2 :])
    elif program == "python" and rest[0] == "-c":
        ast.parse(rest[1])
    elif program == "python" and rest[0] == "-m":
        path = ROOT / Path(*rest[1].split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists() or find_spec(rest[1]), rest[1]
    else:
        assert program.split("/")[0] in FOREIGN, f"{program} is unknown: name it in FOREIGN, or mend it"
    for extra in re.findall(r"seq2seq-trainer\[(\w+)\]", command.text):
        assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)


def check_verb(arguments: list[str]) -> None:
    """Fail unless ``seq2seq`` takes these arguments; exported folders are taken for the runs that they are made of."""
    name, *rest = [re.sub(r"/export/(folder|onnx)$", "", argument) for argument in arguments]
    verb = importlib.import_module(f"seq2seq.cli.{name}")
    if "--help" in rest:
        assert verb.parser().format_help()
        return
    given = verb.parser().read(rest)
    if name != "train":
        verb.validate(given)
    elif given.multirun:
        launcher, of_runs = take_launcher(given.arguments)
        plan(combinations([*of_runs, "outputs=elsewhere"]), launcher, config_of, lambda config: config)
    else:
        config_of(given.arguments)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_command_is_understood(block: Block, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert block.commands
    for command in block.commands:
        check(command, place)


def to_run(slow: bool) -> list[object]:
    """The commands that no mark excepts, each once."""
    found: dict[str, Command] = {}
    for block in BLOCKS:
        for command in block.commands:
            if command.why_not is None and command.words[0] not in FREE:
                found.setdefault(f"{command.text} {command.stdin}", command)
    trainings: dict[str, Command] = {}
    for command in found.values():
        trainings.setdefault(trained(command), command)
    return [
        pytest.param(command, id=f"{command.text}"[:100])
        for command in found.values()
        if slow == bool(LONG & set(re.split(r"[ /]", command.text)) or trainings[trained(command)] is not command)
    ]


def trained(command: Command) -> str:
    """What a training begins with; of those that begin alike the first is in the ordinary suite. Else the command."""
    found = re.search(r"train .*?\b(experiment=|CONFIG=|init=)(\S+)", command.text)
    return f"{found[1]}{found[2]}" if found else f"{command.text} {command.stdin}"


def made_small(arguments: list[str]) -> list[str]:
    """Further options for a training, with which it takes seconds and is in nobody's way."""
    begins = any(argument.startswith("init=") for argument in arguments)
    corpus = CORPUS if config_of(arguments).data.source == "grammar" else [HELD_OUT]
    new = [] if begins else [*SIZES, *SUBWORDS]
    return [*SMALL, *corpus, *new, "name=documented", "overwrite=true", "decode.beam=1"]


def run(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command as it stands; a training is made small by further options."""
    monkeypatch.chdir(place)
    program, *rest = command.words
    told = f"{command.text} cannot be run here: put <!-- not run: why --> in front of its block"
    if program == "python" and rest[0] == "-c":
        done = subprocess.run([sys.executable, *rest], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    commands = made(place, command.words) if program == "make" else [command.words]
    assert program in ("make", "seq2seq") and commands and all(words[1] in RUNS for words in commands), told
    for _, name, *arguments in commands:
        if name == "train" and "--help" not in arguments:
            arguments += made_small(arguments)
        if name == "report":
            arguments.append("--anyway")  # models as small as these have different numbers of parameters
        if name == "doctor" and arguments:
            arguments.append(HELD_OUT)
        if name == "export":
            target = arguments[arguments.index("--to") + 1]
            for earlier in (place / arguments[0] / "export").glob(f"{target}*"):
                shutil.rmtree(earlier) if earlier.is_dir() else earlier.unlink()
        text = command.stdin if command.stdin and not (place / command.stdin).exists() else None
        (place / "typed").write_text(f"{text}\n" if text else (place / "text.en").read_text(encoding="utf-8"))
        with (place / "typed").open(encoding="utf-8") as typed:
            monkeypatch.setattr("sys.stdin", typed)
            assert main([name, *arguments]) in ((0, 1) if name == "doctor" else (0,))  # 1: it found something


@pytest.mark.parametrize("command", to_run(slow=False))
def test_commands_run_as_they_stand(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(command, place, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("command", to_run(slow=True))
def test_long_commands_run_as_they_stand(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(command, place, monkeypatch)
