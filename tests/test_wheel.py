"""The wheel and the Makefile: what a user who has no clone, or nothing but a clone, starts with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.config.compose import options_of

CLONE = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
# What the make that runs this test was told (it hands on its variables by the environment) is not for these.
for variable in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "ARGS", "CONFIG", "RUN", "OUTPUTS", "DEVICES"):
    ENVIRONMENT.pop(variable, None)
Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git would have, so that no leftover of a former build gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("seq2seq", "configs", "data/grammar"):
        shutil.copytree(CLONE / name, folder / "clone" / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CLONE / name, folder / "clone")
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-q", "-w", str(folder)], cwd=folder / "clone", check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a new environment that holds the wheel and sees this environment's packages.

    The path file adds the packages alone: path files in the added folder, such as that of an editable install,
    are not read.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    packages = next(home.glob("lib/python*/site-packages"))
    (packages / "zz_outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--no-deps"]
    subprocess.run([*command, "--no-index", "-q", "--ignore-installed", str(wheel)], check=True, capture_output=True)
    return home / "bin"


def test_the_wheel_holds_every_config_and_the_grammar(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f"seq2seq/configs/{path.relative_to(CLONE / 'configs')}" for path in (CLONE / "configs").rglob("*.yaml")}
    lexicon = CLONE / "data/grammar"
    grammar = {f"seq2seq/lexicon/{path.relative_to(lexicon)}" for path in lexicon.rglob("*.yaml")}
    source = {str(path.relative_to(CLONE)) for path in (CLONE / "seq2seq").rglob("*.py")}
    page = {str(path.relative_to(CLONE)) for path in (CLONE / "seq2seq/report/page").iterdir() if path.is_file()}
    assert configs
    assert grammar
    assert configs | grammar | source | page | {"seq2seq/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "data/", "configs/"))]


def test_the_installed_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "python", "-c", "import seq2seq; print(seq2seq.__file__)"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed.parent))


def test_the_installed_wheel_trains_on_the_embedded_corpus(installed: Path, tmp_path: Path) -> None:
    corpus = ["data.grammar.pairs=200", "data.grammar.valid=10", "data.grammar.test=10", "data.grammar.max_words=20"]
    size = ["data.subwords.vocab_size=300", "trainer.max_tokens=null", "trainer.max_steps=3", "trainer.threads=1"]
    done = subprocess.run(
        [installed / "seq2seq", "train", "experiment=transformer", *corpus, *size, "trainer.samples=0"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "BLEU signature" in done.stdout
    assert (tmp_path / "outputs/embedded/transformer/seed1/summary.json").exists()


# -------------------------------------------------------------------------------------------------------- Makefile


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make`` with this environment under a stamp that is newer than its sources, so that nothing is installed."""
    (tmp_path / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "installed").touch()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["make", *arguments, f"VENV={tmp_path}"]
        return subprocess.run(command, cwd=CLONE, capture_output=True, text=True, env=ENVIRONMENT)

    return run


@needs_make
def test_make_alone_lists_its_targets(make: Make) -> None:
    done = make()
    assert done.returncode == 0
    assert done.stdout == make("help").stdout
    targets = ("help", "train", "evaluate", "translate", "compare", "tensorboard", "test", "lint", "clean")
    assert all(f"make {target} " in done.stdout for target in targets)
    assert "CONFIG=" in done.stdout


@needs_make
def test_make_train_without_a_config_lists_them(make: Make) -> None:
    done = make("train")
    assert done.returncode == 2
    assert set(options_of("experiment")) <= {line.strip() for line in done.stdout.splitlines()}


@needs_make
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["train", "CONFIG=lstn"], "unknown experiment lstn; did you mean lstm?"),
        (["train", "CONFIG=lstm", "ARGS=trainer.max_stepz=3"], "unknown key trainer.max_stepz"),
        (["evaluate"], "give a run folder or a checkpoint"),
        (["translate", "RUN=nowhere"], "nowhere: no run folder and no checkpoint"),
    ],
)
def test_make_hands_its_arguments_on(target: list[str], message: str, make: Make) -> None:
    done = make(*target)
    assert done.returncode == 2
    assert f"seq2seq: error: {message}" in done.stderr
