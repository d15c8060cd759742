"""The layout is the architecture: who may import whom, who may know what, and how large anything grows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import seq2seq

PACKAGE = Path(seq2seq.__file__).parent
MODULES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
ROOT = Path(__file__).parents[1]
SCRIPTS = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "scripts").rglob("*.py"))}
FILES = MODULES | SCRIPTS

STOREYS = [
    {"errors"},
    {"system"},
    {"config"},
    {"models", "grammar", "terminal"},
    {"data"},
    {"decoding"},
    {"runs"},
    {"evaluation"},
    {"training"},
    {"export", "analysis", "doctor"},
    {"study"},
    {"report"},
    {"serve"},
    {"cli"},
]
"""The rooms from the ground up. A room uses rooms below it, never one beside or above."""
BELOW = {part: level for level, parts in enumerate(STOREYS) for part in parts}
DOORS = ("__init__.py", "__main__.py")  # of the package itself: they may see every room
LIGHT = (
    "cli",
    "config",
    "errors.py",
    "runs/run.py",
    "runs/listing.py",
    "study/options.py",
    "study/sweep.py",
    "export/options.py",
    "serve/limits.py",
    *DOORS,
)
HEAVY = {"torch", "datasets", "numpy", "sentencepiece", "sacrebleu", "tensorboard", "matplotlib", "safetensors"}
ARCHITECTURES = ("lstm", "bahdanau", "transformer", "hybrid", "recurrent", "fixed_context")


def part_of(module: str) -> str:
    return module.split("/")[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_on_loading(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        yield from imported(node)


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


@cache
def calls(module: str) -> list[tuple[str, ast.Call]]:
    """Every call of a module, after what it calls."""
    return [(ast.unparse(node.func), node) for node in ast.walk(parsed(module)) if isinstance(node, ast.Call)]


def test_imports_run_downwards() -> None:
    for module in set(MODULES) - set(DOORS):
        part = part_of(module)
        assert part in BELOW, f"{part} has no storey: give it one here"
        for name in imported(parsed(module)):
            if name.startswith("seq2seq."):
                other = name.split(".")[1]
                if other in ("lexicon", "configs"):  # folders of data
                    continue
                assert other == part or BELOW[other] < BELOW[part], f"{module} imports {name}"


def test_the_architecture_page_draws_these_storeys() -> None:
    drawn: list[set[str]] = [set()]
    for line in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("├"):
            drawn.append(set())
        elif room := re.match(r"│ ([a-z]+) ", line):
            drawn[-1].add(room[1])
    assert drawn[::-1] == STOREYS


def test_every_room_is_installed() -> None:
    """A wheel without one of them would fail at its first import."""
    rooms = {".".join(("seq2seq", *Path(m).parts[:-1])) for m in MODULES}
    assert rooms <= set(re.findall(r'^  "(seq2seq[\w.]*)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))


def test_no_circle_anywhere() -> None:
    """Not within a room either, and not among the scripts."""
    paths = {f"seq2seq/{module}": module for module in MODULES} | {script: script for script in SCRIPTS}
    names = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): module for path, module in paths.items()
    }
    edges = {
        name: {
            other
            for used in imported(parsed(module))
            for other in (used, used.rpartition(".")[0])
            if other in names and other != name and not names[other].endswith("__init__.py")
        }
        for name, module in names.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in edges[name]:
                visit(other, (*way, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_nobody_changes_where_modules_are_found() -> None:
    for path in (*SCRIPTS.values(), *sorted((ROOT / "tests").rglob("*.py"))):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"\b(sys|runpy|importlib)\b", text):
            continue
        tree = ast.parse(text)
        names = set(imported(tree)) | {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names -= {"runpy"} if path.name == "processes.py" else set()  # ``python -m``, in a process that is there
        assert not names & {"sys.path", "runpy", "importlib.util", "importlib.util.spec_from_file_location"}, path


@pytest.mark.parametrize(("room", "other"), [("data", "models"), ("models", "data")])
def test_data_and_models_do_not_know_each_other(room: str, other: str) -> None:
    for module in MODULES:
        if part_of(module) == room:
            assert not [name for name in imported(parsed(module)) if name.startswith(f"seq2seq.{other}")], module


def test_models_import_torch_and_config_alone() -> None:
    allowed = (
        "torch",
        "seq2seq.models",
        "seq2seq.config.schema",
        "seq2seq.config.architectures",
        "seq2seq.errors",
        "__future__",
        "abc",
        "collections",
        "contextlib",
        "dataclasses",
        "math",
    )
    for module in MODULES:
        if part_of(module) == "models":
            for name in imported(parsed(module)):
                ours = name.startswith("seq2seq")
                assert name.split(".")[0] in (*allowed, "typing") if not ours else name.startswith(allowed), (
                    f"{module} imports {name}"
                )


def test_the_door_loads_nothing_heavy() -> None:
    for module in MODULES:
        if module.startswith(LIGHT):
            assert not {name.split(".")[0] for name in imported_on_loading(parsed(module))} & HEAVY, module


OUTSIDE = [m for m in MODULES if part_of(m) not in ("models", "config")]


def test_nobody_outside_the_models_asks_which_architecture_it_is() -> None:
    for module in OUTSIDE:
        for called, node in calls(module):
            if called in ("isinstance", "issubclass", "type"):
                asked = ast.unparse(node)
                assert not re.search(r"Encoder|Decoder|LSTM|Bahdanau|Transformer|Recurrent|Context|Attenti", asked), (
                    f"{module}: {asked}"
                )
        for node in ast.walk(parsed(module)):
            if isinstance(node, (ast.Compare, ast.Match)):
                constants = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)}
                assert not constants & set(ARCHITECTURES), f"{module}: {ast.unparse(node)}"


PROBING = {
    "config/validation.py": "walks over the fields of every section, and reads OmegaConf's errors",
    "data/streams.py": "not every error of reading a file has a strerror",
    "grammar/lexicon.py": "PyYAML is built with its C loader or without",
    "system/devices.py": "mallopt is glibc's alone",
}
"""Files that ask an object for its attributes by name, and why: none asks a model or a model's options."""


def test_options_say_what_they_are_so_that_nobody_probes_an_object() -> None:
    for module in MODULES:
        if part_of(module) != "models" and module not in PROBING:
            assert not {called for called, _ in calls(module)} & {"hasattr", "getattr", "setattr", "vars"}, module


def test_only_build_names_the_architectures_to_the_rest_of_the_house() -> None:
    inner = {"lstm", "bahdanau", "transformer", "recurrent", "attention"}
    for module in MODULES:
        if part_of(module) != "models":
            for name in imported(parsed(module)):
                assert not (name.startswith("seq2seq.models.") and name.split(".")[2] in inner), f"{module}: {name}"


def test_no_file_is_long_and_none_is_a_drawer() -> None:
    for module, path in FILES.items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, module
        assert not {"utils", "util", "helpers", "common", "misc"} & set(Path(module).with_suffix("").parts), module


def test_no_function_is_long() -> None:
    long = {
        (module, node.name, lines)
        for module in FILES
        for node in ast.walk(parsed(module))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 50  # the docstring counts, decorators do not
    }
    assert not long


def test_every_file_says_what_it_knows() -> None:
    assert not [module for module in MODULES if not ast.get_docstring(parsed(module))]


RUNS_CODE = {
    *("eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load"),
    *("yaml.unsafe_load", "yaml.full_load", "instantiate"),
}


def test_nothing_that_is_loaded_can_run_code() -> None:
    for module in MODULES:
        names = {name.split(".")[0] for name in imported(parsed(module))}
        assert not names & {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}, module
        for called, node in calls(module):
            assert called not in RUNS_CODE, f"{module}: {ast.unparse(node)}"
            assert called != "yaml.load" or "SafeLoader" in FILES[module].read_text(encoding="utf-8"), module
            assert not {"allow_pickle", "trust_remote_code"} & {keyword.arg for keyword in node.keywords}, module
        strings = (node.value for node in ast.walk(parsed(module)) if isinstance(node, ast.Constant))
        assert "_target_" not in strings, module
