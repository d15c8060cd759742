"""Whether two commits compute the same: `python -m scripts.compare_commits OLD NEW`.

Each commit is cloned and installed by its own Makefile. It trains the presets of the embedded corpus for some updates
in float32 and bf16, a quarter as long those of Multi30k's size where that corpus lies in ../shared/data, and for four
updates those of IWSLT's and WMT's sizes, on a small embedded corpus; it trains each model of the embedded corpus for a
million target tokens, tests, evaluates and translates with it. The two must agree to the last bit in the corpus, the
subwords, the curves, the weights, the optimiser's state, the random generators, the translations, the attention and
the scores. NEW must also read the runs that OLD has made.

`--speed` asks instead how fast they are: both commits do the same work at the same time, and only one of them runs at a
time, in turns of a few seconds (the other is stopped by a signal), so that what disturbs the machine disturbs both.

Knows the command line and the files of a run, nothing inside the package, so that any two commits can be compared.
What a commit has computed stays in `--folder`, by its hash, and is not computed again.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open

from scripts import commits

MODELS = ("lstm", "bahdanau", "transformer")
CLOCK = ("train/tokens_per_s", "train/seconds", "seconds", "sentences_per_second", "tokens_per_second", "models")
"""Figures that tell of the clock, or of where files lie: they may differ."""
NEWER = ("max_input", "too_long")
"""Options that a commit before them does not write beside its scores."""
MULTI30K = Path(__file__).resolve().parents[2] / "shared" / "data" / "multi30k"
LARGE = ["data=embedded", "data.grammar.pairs=2000", "data.grammar.valid=4", "data.grammar.test=4"]
LARGE += ["trainer.batch_tokens=400", "decode.beam=1", "decode.max_ratio=1", "decode.max_extra=0"]
"""Options of the presets for large corpora: so little text that a CPU is done with a model in a minute."""
SENTENCES = 200  # translated with beam search, n-best and attention
TURN = 4.0  # seconds


def shell(command: list[str], folder: Path, out: Path | None = None) -> None:
    """Run a command in a folder; its standard output goes to a file."""
    print(f"{folder.name}: {' '.join(command)}", file=sys.stderr, flush=True)
    with (out or Path(os.devnull)).open("w") as file:
        done = subprocess.run(command, cwd=folder, stdout=file, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} in {folder} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def checkout(revision: str, folder: Path) -> Path:
    """A clone of the commit below ``folder``, installed."""
    tree = commits.clone(revision, folder)
    if not (tree / ".venv" / "installed").exists():
        shell(["make", ".venv/installed"], tree)
    return tree


def train(experiment: str, name: str, *options: str) -> list[str]:
    """The command that trains."""
    return [".venv/bin/seq2seq", "train", f"experiment={experiment}", f"name={name}", "outputs=bits", *options]


def computed(tree: Path, updates: int, tokens: int) -> Path:
    """Everything that is compared, computed by the commit in ``tree`` where that has not been done."""
    runs, out = tree / "bits", tree / "bits-out"
    out.mkdir(exist_ok=True)
    for precision in precisions(tree):
        for experiment, share, more in presets():
            if more == LARGE and precision != "fp32":
                continue  # another quarter of an hour, for kernels that the smaller presets use as well
            name = f"curve/{experiment.replace('/', '-')}-{precision}"
            limit = max(updates // share, 4)
            steps = [f"trainer.max_steps={limit}", f"trainer.valid_every={limit}", "trainer.log_every=1"]
            if not (runs / name / "summary.json").exists():
                shell(train(experiment, name, f"trainer.precision={precision}", *steps, *more), tree)
    for model in MODELS:
        name = f"trained/{model}"
        if not (runs / name / "summary.json").exists():
            shell(train(model, name, f"trainer.max_tokens={tokens}"), tree)
        ask(tree, f"bits/{name}", out / model)
    return tree


def ask(tree: Path, run: str, out: Path) -> None:
    """Translate and evaluate with a run (a path seen from ``tree``), into the folder ``out``."""
    if (out / "done").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    lines = (tree / run / "evaluations" / "test" / "src.txt").read_text(encoding="utf-8").splitlines()[:SENTENCES]
    (out / "src.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    program, source = ".venv/bin/seq2seq", ["--in", str(out / "src.txt")]
    shell([program, "translate", run, *source, "--attention"], tree, out / "attention.txt")
    shell([program, "translate", run, *source, "decode.beam=4", "decode.nbest=3"], tree, out / "nbest.txt")
    shell(
        [program, "translate", run, *source, "decode.sample=true", "trainer.precision=fp32"], tree, out / "sample.txt"
    )
    evaluate = [program, "evaluate", run, "decode.beam=2", "--json", "--out", str(out / "evaluation")]
    shell(evaluate, tree, out / "evaluation.json")
    (out / "done").touch()


def presets() -> Iterator[tuple[str, int, list[str]]]:
    """Experiments, the part of the updates (one in so many) that each makes, and the options that it needs here."""
    for model in (*MODELS, "hybrid"):
        yield model, 1, []
    for corpus, model in itertools.product(("iwslt14", "wmt14"), MODELS):
        yield f"{corpus}/{model}", 50, LARGE
    if MULTI30K.exists():
        splits = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
        files = [
            f"data.{split}.{side}={MULTI30K / name}.{end}"
            for split, name in splits.items()
            for side, end in (("src", "en"), ("tgt", "de"))
        ]
        for model in MODELS:
            yield f"text/{model}", 4, [*files, "trainer.valid_pairs=20", "decode.beam=1"]


def precisions(tree: Path) -> tuple[str, ...]:
    """bf16 too, where this CPU multiplies it."""
    asked = "import torch; print(torch.cpu.get_capabilities().get('avx512_bf16', False))"
    done = subprocess.run([str(tree / ".venv/bin/python"), "-c", asked], capture_output=True, text=True, check=True)
    return ("fp32", "bf16") if "True" in done.stdout else ("fp32",)


# ------------------------------------------------------------------------------------------------ are they the same


def digest(path: Path) -> Any:
    """What must be the same of a file: its content, but for figures of the clock."""
    if path.suffix == ".jsonl":
        return [timeless(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as file:  # bf16 is nowhere in a checkpoint
            return {name: hashlib.sha256(file.get_tensor(name).tobytes()).hexdigest() for name in file.keys()}  # noqa: SIM118
    return hashlib.sha256(path.read_bytes()).hexdigest()


def timeless(value: Any) -> Any:
    """Plain data without the figures of the clock, and without options that only the newer commit has."""
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in (*CLOCK, *NEWER)}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def files_of(tree: Path) -> dict[str, Path]:
    """The files that are compared, by their names below the commit's folder."""
    patterns = (
        "data/embedded/*/*",
        "data/prepared/*/*",
        "bits/**/metrics.jsonl",
        "bits/**/*.safetensors",
        "bits/**/evaluations/test/*",
        "bits/**/validations/*",
        "bits-out/**/*.txt",
        "bits-out/**/*.json",
    )
    found = (path for pattern in patterns for path in tree.glob(pattern) if path.is_file())
    return {str(path.relative_to(tree)): path for path in found}


def report(title: str, old: dict[str, Path], new: dict[str, Path]) -> int:
    """Say which files differ; returns how many."""
    missing = sorted(old.keys() ^ new.keys()) or ([] if old else ["nothing was computed"])
    different = [name for name in sorted(old.keys() & new.keys()) if digest(old[name]) != digest(new[name])]
    print(f"{title}: {len(old.keys() & new.keys()) - len(different)} files the same, {len(different)} different")
    for name in different:
        print(f"  differs: {name}")
    for name in missing:
        print(f"  only in {'old' if name in old else 'new'}: {name}")
    return len(different) + len(missing)


def same(old: Path, new: Path, updates: int, tokens: int) -> int:
    """Compute with both, compare; 0 where everything agrees."""
    for tree in (old, new):
        computed(tree, updates, tokens)
    failures = report("computed by each", files_of(old), files_of(new))
    for model in MODELS:
        out = new / "bits-of-old" / model
        ask(new, str(old / "bits" / "trained" / model), out)
        names = ("attention.txt", "nbest.txt", "sample.txt", "evaluation.json", "evaluation/hypotheses.txt")
        before = {name: old / "bits-out" / model / name for name in names}
        failures += report(f"old run of {model}, read by new", before, {name: out / name for name in names})
    if not MULTI30K.exists():
        print(f"left out: the presets of Multi30k's size, whose corpus is not in {MULTI30K}")
    print("the same" if not failures else f"NOT the same: {failures}")
    return 1 if failures else 0


# ------------------------------------------------------------------------------------------------- are they as fast


def race(commands: dict[str, list[str]], folders: dict[str, Path]) -> dict[str, float]:
    """Seconds that each command runs, where only one of them runs at a time, in turns."""
    spent = dict.fromkeys(commands, 0.0)
    processes = {
        name: subprocess.Popen(command, cwd=folders[name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, command in commands.items()
    }
    for process in processes.values():
        process.send_signal(signal.SIGSTOP)
    open_ = list(processes)
    try:
        while open_:
            for name in list(open_):
                process, started = processes[name], time.perf_counter()
                process.send_signal(signal.SIGCONT)
                try:
                    code = process.wait(TURN)
                    open_.remove(name)
                    if code:
                        raise SystemExit(f"{' '.join(commands[name])} ended with {code}")
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGSTOP)
                spent[name] += time.perf_counter() - started
            open_.reverse()  # nobody always follows the other
    finally:
        for process in processes.values():
            process.kill()  # also one that is stopped, where the other has failed
    return spent


def speed(old: Path, new: Path, updates: int, rounds: int) -> int:
    """Print how long NEW takes as a share of OLD's time, for training and search of each model."""
    folders = {"old": old, "new": new}
    for tree in folders.values():
        computed(tree, 200, 1_000_000)

    def ratio(what: str, command: list[str]) -> None:
        found = []
        for _ in range(rounds):
            spent = race(dict.fromkeys(folders, command), folders)
            found.append(spent["new"] / spent["old"])
        print(f"{what}: {statistics.median(found):.3f} of the time  [{min(found):.3f}, {max(found):.3f}]", flush=True)

    for model in MODELS:
        steps = [f"trainer.max_steps={updates}", f"trainer.valid_every={updates}", "trainer.valid_pairs=4"]
        ratio(f"training {model}", train(model, f"race/{model}", "overwrite=true", *steps))
        test = old / "bits" / "trained" / model / "evaluations" / "test" / "src.txt"
        many = old / "bits-out" / "many.txt"
        many.write_text(test.read_text(encoding="utf-8") * 3, encoding="utf-8")
        translate = [".venv/bin/seq2seq", "translate", str(old / "bits" / "trained" / model), "--in", str(many)]
        ratio(f"search {model}", translate)
    return 0


def main() -> int:
    """Compare two commits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", help="default: only compute what OLD computes")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/compare_commits"))
    parser.add_argument("--updates", type=int, default=200, help="updates of each curve")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="target tokens of each trained run")
    parser.add_argument("--speed", action="store_true", help="measure how fast they are instead")
    parser.add_argument("--rounds", type=int, default=3, help="with --speed: how often each pair is measured")
    given = parser.parse_args()
    try:
        old, *newer = [checkout(one, given.folder) for one in (given.old, given.new) if one is not None]
    except commits.NoCommit as error:
        parser.error(str(error))
    if not newer:
        computed(old, given.updates, given.tokens)
        return 0
    (new,) = newer
    if given.speed:
        return speed(old, new, given.updates, given.rounds)
    return same(old, new, given.updates, given.tokens)


if __name__ == "__main__":
    sys.exit(main())
