"""Hostile configs and records of a run folder: every option of the schema, and every JSON file that is read again."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.hostile.caches import RESUME, TRANSLATE
from tests.hostile.cases import DAMAGES, Case, Harm, altered, by, put, replaced, with_, without

CONFIG = "runs/bahdanau/config.yaml"
DEEP = 50  # levels of nesting, a hundred times less than hurts anybody

# ------------------------------------------------------------------------------------------------- every option

WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "a list": [1, 2],
    "an empty list": [],
    "a dictionary": {"x": 1},
    "a word": "many words",
    "nothing": "",
    "a negative number": -1,
    "zero": 0,
    "half": 0.5,
    "an absurd number": 10**30,
    "a number as large as a disk": 10**15,
    "an absurd fraction": 1e300,
    "infinity": float("inf"),
    "not a number": float("nan"),
    "a long text": "x" * 100_000,
    "NUL": "a\0b",
    "a line end": "a\nb",
    "an interpolation": "${oc.env:HOME}",
    "missing": "???",
    "nested": [[[[]]]],
}
"""Values that most options cannot have. Which of them an option may have is the schema's matter, not this table's."""


def options() -> list[str]:
    """Every dotted key of a run's config, sections among them."""
    from seq2seq.config.validation import every_option

    keys = [key for key, _, _, kind in every_option() if kind in ("", "recurrent", "attention")]
    return sorted({*keys, *(key.rsplit(".", n)[0] for key in keys for n in range(1, key.count(".") + 1))})


def load_with(key: str, value: Any) -> object:
    """Read a run's config in which ``key`` has been set to ``value``."""
    from seq2seq.config.schema import AttentionDecoderConfig, Config, ModelConfig, RecurrentEncoderConfig
    from seq2seq.config.validation import from_plain, to_plain

    model = ModelConfig(name="m", encoder=RecurrentEncoderConfig(), decoder=AttentionDecoderConfig())
    plain = to_plain(Config(model=model))
    plain["trainer"]["max_steps"] = 1
    *path, last = key.split(".")
    node = plain
    for name in path:
        node = node[name]
    node[last] = value
    return from_plain(plain, "config.yaml")


def type_of(key: str) -> tuple[str, bool]:
    """The type of an option as the schema has it, such as ``int``, and whether it may be null; sections: ``""``."""
    from seq2seq.config.schema import AttentionDecoderConfig, Config, RecurrentEncoderConfig

    node: Any = Config()
    node.model.encoder, node.model.decoder = RecurrentEncoderConfig(), AttentionDecoderConfig()
    *path, last = key.split(".")
    for name in path:
        node = getattr(node, name)
    [field] = [field for field in dataclasses.fields(node) if field.name == last]
    if dataclasses.is_dataclass(getattr(node, last)):
        return "", False
    kind = str(field.type)
    if kind == "Any":  # a path or several
        return "files", True
    return kind.removeprefix("Optional[").removesuffix("]"), kind.startswith("Optional")


def grid(every: bool) -> Iterator[tuple[str, str]]:
    """Pairs of an option and a wrong value: all of them, or two for each option, every value in turn."""
    names = list(WRONG)
    for number, key in enumerate(options()):
        chosen = names if every else [names[(2 * number + n) % len(names)] for n in (0, 1)]
        yield from ((key, name) for name in chosen)


# ----------------------------------------------------------------------------------------------------- config files

YAML: dict[str, tuple[bytes | str, tuple[str, ...]]] = {
    "empty": ("", ("config.yaml",)),
    "blank": (" \n\n", ("config.yaml",)),
    "a word": ("hello", ("config.yaml",)),
    "a list": ("- data\n- model\n", ("config.yaml",)),
    "a number": ("3", ("config.yaml",)),
    "an open bracket": ("data: [1, 2", ("config.yaml",)),
    "a tab": ("data:\n\tname: x\n", ("config.yaml",)),
    "not UTF-8": (b"data:\n  name: \xff\n", ("config.yaml",)),
    "NUL": ("data:\n  name: a\0b\n", ("config.yaml",)),
    "two documents": ("data: {}\n---\ndata: {}\n", ("config.yaml",)),
    "a tag of Python's": ("data: !!python/object:builtins.dict {}\n", ("config.yaml",)),
    "a tag of nobody's": ("data: !mine {}\n", ("config.yaml",)),
    "an alias of nothing": ("data: *nothing\n", ("config.yaml",)),
    "an alias of itself": ("data: &a [*a]\n", ("config.yaml",)),
    "a section that holds itself": ("data: &a\n  train: *a\n", ("config.yaml",)),
    "aliases": ("a: &a [1, 2]\nb: &b [*a, *a]\nc: [*b, *b]\n", ("config.yaml",)),
    "deep lists": ("data: " + "[" * DEEP + "]" * DEEP + "\n", ("config.yaml",)),
    "deep sections": ("".join(f"{' ' * n}a:\n" for n in range(DEEP)), ("config.yaml",)),
    "a date": ("data:\n  name: 2026-11-28\n", ("config.yaml",)),
    "an impossible date": ("data:\n  name: 2026-99-99\n", ("config.yaml",)),
    "a time": ("data:\n  name: 2026-11-28 12:00:00\n", ("config.yaml",)),
    "bytes": ("data:\n  name: !!binary AAEC\n", ("config.yaml",)),
    "a set": ("data: !!set {a, b}\n", ("config.yaml",)),
    "a key twice": ("seed: 1\nseed: 2\n", ("config.yaml",)),
    "a list for a key": ("? [a, b]\n: c\n", ("config.yaml",)),
    "a number for a key": ("3: c\n", ("config.yaml",)),
    "null for a key": ("null: c\n", ("config.yaml",)),
    "JSON": ('{"data": {"name": "x"}}', ("config.yaml",)),
    "a merge": ("a: &a {x: 1}\n<<: *a\n", ("config.yaml",)),
    "a long number": ("seed: " + "9" * 400 + "\n", ("config.yaml",)),
    "sexagesimals": ("seed: 1:2:3:4\n", ("config.yaml",)),
    "a long line": ("name: " + "x" * 100_000 + "\n", ("config.yaml",)),
}
CHANGES: dict[str, tuple[str, str]] = {
    "an unknown key": ("seed: 1", "sede: 1"),
    "no model": ("model:", "modell:"),
    "an unknown decoder": ("type: attention", "type: attentive"),
    "a width of text": ("width: 8", "width: wide"),
    "a width of zero": ("width: 8", "width: 0"),
    "another width": ("width: 8", "width: 9"),
    "an absurd width": ("width: 8", "width: 1" + "0" * 30),
    "another embedding": ("embedding: 8", "embedding: 9"),
    "a beam of zero": ("beam: 2", "beam: 0"),
    "an absurd beam": ("beam: 2", "beam: 1" + "0" * 30),
    "a long beam": ("beam: 2", "beam: " + "9" * 5_000),
    "a device": ("device: auto", "device: tpu"),
    "an interpolation": ("device: auto", "device: ${oc.env:HOME}"),
    "a resolver": ("device: auto", 'device: "${oc.decode:x}"'),
    "an infinite penalty": ("alpha: 0.6", "alpha: .inf"),
    "a penalty that is none": ("alpha: 0.6", "alpha: .nan"),
    "a date for a seed": ("seed: 1", "seed: 2026-11-28"),
    "a seed of thousands of digits": ("seed: 1", "seed: " + "7" * 5_000),
    "a seed that is too large": ("seed: 1", "seed: 1" + "0" * 30),
    "draws": ("sample: false", "sample: true"),
}
OWN: dict[str, str] = {
    "a list of defaults that is none": "defaults: 3\n",
    "defaults of null": "defaults: null\n",
    "defaults of a word": "defaults: model\n",
    "a default that is a number": "defaults: [3]\n",
    "a default that is a list": "defaults: [[a]]\n",
    "a default of two keys": "defaults: [{override /model: lstm, override /data: text}]\n",
    "defaults that name themselves": "defaults: [mine]\n",
    "defaults that name the file": "defaults: [experiment/mine.yaml]\n",
    "defaults that name the copy": "defaults: [_own]\n",
    "a default above the folder": "defaults: [../../../../etc/hostname]\n",
    "an absolute default": "defaults: [/etc/hostname]\n",
    "an override of Hydra's": "defaults: [override hydra/launcher: basic]\n",
    "Hydra's own section": "hydra: {run: {dir: here}}\n",
    "an unknown data set": "defaults: [override /data: nobodys]\n",
    "a package": "# @package nowhere.at.all\ntrainer: {max_steps: 3}\n",
    "an interpolation of nothing": "seed: ${nothing}\n",
    "an interpolation of itself": "seed: ${seed}\n",
    "a resolver of nobody": "seed: ${nobody:1}\n",
    "an open interpolation": "name: '${'\n",
    "interpolations in great number": "name: " + "${seed}" * 17 + "\n",
    "interpolations in each other": "name: " + "${" * 17 + "seed" + "}" * 17 + "\n",
    "an empty file": "",
    "a list": "- trainer\n",
    "a word": "trainer\n",
    "deep lists": "name: " + "[" * DEEP + "]" * DEEP + "\n",
    "a section for a number": "seed: {a: 1}\n",
    "a number for a section": "trainer: 3\n",
    "null for a section": "trainer: null\n",
    "a long number": "seed: " + "9" * 400 + "\n",
    "a target": "_target_: os.getcwd\n",
    "a target in a section": "model: {_target_: os.getcwd}\n",
    "a number for a key": "3: 4\n",
    "a section that holds itself": "trainer: &a\n  optimizer: *a\n",
    "a date": "name: 2026-11-28\n",
    "a model of null": "model: null\n",
    "no type of encoder": "model: {encoder: {type: null}}\n",
}
"""Files of a user's own, as ``experiment=mine.yaml``; every one is refused, but a few that are legal below."""
LEGAL_OWN = ("an empty file", "a date")  # refused later at most: nothing says what to train
ARGUMENTS: dict[str, str] = {
    "a width that is absurd": "model.encoder.width=1" + "0" * 30,
    "a seed of thousands of digits": "seed=" + "7" * 5_000,
    "a seed that is too large": "seed=1" + "0" * 30,
    "no threads": "trainer.threads=0",
    "an absurd batch": "trainer.batch_tokens=1" + "0" * 30,
    "an absurd beam": "decode.beam=1" + "0" * 30,
    "an absurd extra length": "decode.max_extra=1" + "0" * 30,
    "an infinite ratio": "decode.max_ratio=inf",
    "a ratio that is none": "decode.max_ratio=nan",
    "no trainer": "trainer=null",
    "no data": "data=null",
    "no model": "model=null",
    "no decode": "decode=null",
    "a group that is a list": "model=[lstm]",
    "a group that is a dictionary": "model={a:1}",
    "a section that is a list": "trainer.optimizer=[1]",
    "a section of null": "trainer.optimizer=null",
    "an interpolation": "seed=${oc.env:HOME}",
    "an interpolation of nothing": "seed=${nothing}",
    "a dictionary for a number": "seed={a:1}",
    "a quote": "seed='1",
    "a glob": "seed=glob(*)",
    "a range": "seed=range(1,5)",
    "a shuffle": "seed=shuffle(1,2)",
    "a cast": "seed=int(x)",
    "a key with spaces": "trainer. seed=1",
    "no key": "=1",
    "a deletion": "~trainer",
    "an addition of two": "++seed=x",
    "deep brackets": "seed=" + "[" * DEEP,
    "another package": "model@x=lstm",
    "Hydra's run folder": "hydra.run.dir=here",
    "a control character": "seed=\x01",
    "not a character": "seed=\udcff",
    "a file for an experiment": "experiment=train.src",
    "a folder for an experiment": "experiment=runs.yaml/",
    "an experiment above": "experiment=../../etc/hostname",
    "an experiment that is not there": "experiment=nowhere.yaml",
}


def load_config() -> object:
    """Read the config of ``runs/bahdanau``."""
    from seq2seq.runs.run import Run

    return Run(Path("runs/bahdanau")).load_config()


def composed(*arguments: str) -> Callable[[], object]:
    """The config of a training, as ``seq2seq train`` makes it."""

    def make() -> object:
        from seq2seq.config.compose import compose

        return compose(["model=lstm", "trainer.max_steps=1", *arguments])

    return make


def configs() -> Iterator[Case]:
    """The config of a run, a user's own experiment, and arguments of the command line."""
    for name, (content, says) in YAML.items():
        yield Case(f"config.yaml: {name}", load_config, put(CONFIG, content), says)
    for name, (old, new) in CHANGES.items():
        code = 0 if name in ("another width", "another embedding") else 2  # they are the checkpoint's matter
        yield Case(f"config.yaml: {name}", load_config, replaced(CONFIG, old, new), ("config.yaml",), code)
        if name in ("another width", "an interpolation", "no model"):
            yield Case(f"translate: config.yaml: {name}", TRANSLATE, replaced(CONFIG, old, new), ("runs/bahdanau",))
    for name, (harm, more) in DAMAGES.items():
        yield Case(f"config.yaml: {name} as a file", TRANSLATE, harm(CONFIG, *more), ("runs/bahdanau",))
    for name, content in OWN.items():
        code = 0 if name in LEGAL_OWN else 2
        yield Case(f"mine.yaml: {name}", composed("experiment=mine.yaml"), put("mine.yaml", content), code=code)
    for name, argument in ARGUMENTS.items():
        yield Case(f"argument: {name}", composed(argument))


# --------------------------------------------------------------------------------------------------------- JSON files

FINISHED = "FINISHED"
"""In place of a door: the training of ``runs/bahdanau``, which only prints its result."""
REPORT = "REPORT"
"""In place of a door: the page of ``runs/lstm`` and ``runs/bahdanau``, whose measurements are there."""


def record(name: str) -> Callable[[], object]:
    """Read a file of ``runs/bahdanau`` as every verb does that needs it."""

    def read() -> object:
        from seq2seq.analysis.measurements import MEASUREMENTS
        from seq2seq.runs.run import Run

        run = Run(Path("runs/bahdanau"))
        readers: dict[str, Callable[[], object]] = {
            "summary": run.load_summary,
            "fingerprint": run.load_fingerprint,
            "metrics": lambda: run.curve("valid/bleu"),
        }
        return readers[name]() if name in readers else MEASUREMENTS[name].load(run)

    return read


ANY: dict[str, Callable[[Any], Any]] = {
    "a list": lambda value: [value],
    "a number": lambda value: 3,
    "a text": lambda value: "x",
    "null": lambda value: [None][0] or "null",
    "no keys": lambda value: {},
    "null for everything": lambda value: dict.fromkeys(value),
    "text for everything": lambda value: dict.fromkeys(value, "x"),
    "lists for everything": lambda value: {key: [] for key in value},
    "numbers for everything": lambda value: dict.fromkeys(value, 1),
    "NaN for everything": lambda value: {key: float("nan") for key in value},
    "infinity for everything": lambda value: {key: float("inf") for key in value},
    "absurd numbers for everything": lambda value: dict.fromkeys(value, 10**400),
    "deep lists for everything": lambda value: {key: _deep() for key in value},
}
"""What can be wrong with any JSON object."""


def _deep() -> Any:
    value: Any = []
    for _ in range(DEEP):
        value = [value]
    return value


SUMMARY: dict[str, Callable[[Any], Any]] = {
    "no test": without("test"),
    "no steps": without("steps"),
    "test of null": with_("test", None),
    "text for BLEU": lambda value: value["test"].update(bleu="high"),
    "NaN for BLEU": lambda value: value["test"].update(bleu=float("nan")),
    "no BLEU": lambda value: value["test"].pop("bleu"),
    "a loss that is infinite": lambda value: value["test"].update(nll=float("inf")),
    "negative seconds": with_("seconds", -1),
    "text for seconds": with_("seconds", "long"),
    "an absurd number of steps": with_("steps", 10**30),
    "parameters of text": with_("parameters", "many"),
    "no total": lambda value: value["parameters"].pop("total"),
    "samples of numbers": with_("samples", [1, 2]),
    "thirds of text": lambda value: value["test"].update(by_length="x"),
    "a checkpoint with a path": with_("checkpoint", "../../best"),
}
POINTS: dict[str, bytes] = {
    "no JSON": b"hello\n",
    "random bytes": random.Random(6).randbytes(300),
    "a line of a list": b"[1]\n",
    "a line of a number": b"3\n",
    "a line of null": b"null\n",
    "no step": b'{"train/nll": 3.0}\n',
    "a step of text": b'{"step": "x", "valid/bleu": 3.0}\n',
    "a step of null": b'{"step": null, "valid/bleu": 3.0}\n',
    "a step that is a list": b'{"step": [1], "valid/bleu": 3.0}\n',
    "a value of text": b'{"step": 1, "valid/bleu": "high"}\n',
    "a value of a list": b'{"step": 1, "valid/bleu": [1]}\n',
    "not UTF-8": b'{"step": 1, "valid/bleu": "\xff"}\n',
    "a broken line in the middle": b'{"step": 1, "valid/b\n{"step": 2, "valid/bleu": 3.0}\n',
    "deep lists": b'{"step": ' + b"[" * DEEP + b"]" * DEEP + b"}\n",
    "a number of thousands of digits": b'{"step": ' + b"9" * 5_000 + b"}\n",
    "NUL": b'{"step": 1\0}\n',
}


def twice(name: str, reader: str, door: str, harm: Harm, says: tuple[str, ...]) -> Iterator[Case]:
    """A case at the function that reads the record, and in the slow suite at the command that needs it."""
    yield Case(name, record(reader), harm, says)
    yield Case(f"{name} at {door}", door, harm, says, slow=True)


def records() -> Iterator[Case]:
    """What a finished run prints, what a training goes on from, and what a page is made of."""
    for name, change in {**ANY, **SUMMARY}.items():
        path = "runs/bahdanau/summary.json"
        yield from twice(f"summary.json: {name}", "summary", FINISHED, altered(path, change), (path,))
    for name, change in ANY.items():
        path = "runs/bahdanau/fingerprint.json"
        yield from twice(f"fingerprint.json: {name}", "fingerprint", REPORT, altered(path, change), (path,))
    for name, content in POINTS.items():
        path = "runs/bahdanau/metrics.jsonl"
        yield from twice(f"metrics.jsonl: {name}", "metrics", REPORT, put(path, content), (path,))
        path = "runs/cut/metrics.jsonl"
        yield Case(f"metrics.jsonl: {name} at train", RESUME, put(path, content), (path,), slow=name != "no JSON")
    for file in ("summary.json", "fingerprint.json", "metrics.jsonl"):
        for name, (harm, more) in DAMAGES.items():
            path = f"runs/bahdanau/{file}"
            if file == "metrics.jsonl" and name in ("empty", "cut"):
                continue  # the curves of a run that was killed: what is whole is shown
            yield from twice(f"{file}: {name}", file.split(".")[0], REPORT, by(harm, path, more), ("runs/bahdanau",))
    for name, (harm, more) in DAMAGES.items():
        path = "runs/cut/fingerprint.json"
        yield Case(f"fingerprint.json: {name} at train", RESUME, by(harm, path, more), (path,), slow=name != "cut")


LOG_PROBABILITIES = {
    "text": "high\n" * 18,
    "NaN": "nan\n" * 18,
    "infinity": "-inf\n" * 18,
    "a number too many": "-3.5\n" * 19,
    "two numbers a line": "-3.5 1\n" * 18,
    "a comment": "# -3.5\n" * 18,
    "an empty line": "-3.5\n" * 9 + "\n" + "-3.5\n" * 8,
}
TEST = "evaluations/test"


def scored() -> Iterator[Case]:
    """The texts beside the scores of a test, at the door of the page."""
    for run, file in (
        ("bahdanau", "hypotheses.txt"),
        ("bahdanau", "log_probability.txt"),
        ("lstm", "src.txt"),
        ("lstm", "ref.txt"),
    ):
        for name, (harm, more) in DAMAGES.items():
            harmed = by(harm, f"runs/{run}/{TEST}/{file}", more)
            yield Case(f"test/{file}: {name}", REPORT, harmed, (f"runs/{run}",), slow=name != "cut")
    path = f"runs/bahdanau/{TEST}/log_probability.txt"
    for name, content in LOG_PROBABILITIES.items():
        yield Case(f"test/log_probability.txt: {name}", REPORT, put(path, content), (path,))
    path = f"runs/bahdanau/{TEST}/hypotheses.txt"
    for count in (17, 19):
        yield Case(f"test/hypotheses.txt: {count} lines", REPORT, put(path, "a\n" * count), (path,))


def measurements() -> Iterator[Case]:
    """The records of ``analysis``."""
    for name in ("interventions", "attention", "forgetting", "probe", "extrapolation", "search", "cost", "explorer"):
        path = f"runs/bahdanau/measurements/{name}.json"
        for kind, change in ANY.items():
            if kind == "lists for everything" and name in ("forgetting", "explorer"):
                continue  # these hold lists alone, which may be empty
            yield from twice(f"{name}.json: {kind}", name, REPORT, altered(path, _keeping(change)), (path,))
        for kind, (harm, more) in DAMAGES.items():
            yield Case(f"{name}.json: {kind}", record(name), by(harm, path, more), (path,))


def _keeping(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``change``, which leaves version and origin as they are: the record counts as the one that was measured."""

    def changed(value: Any) -> Any:
        kept = {key: value[key] for key in ("version", "origin")}
        other = change({key: each for key, each in value.items() if key not in kept})
        return {**kept, **other} if isinstance(other, dict) else other

    return changed
