"""Time to 80 BLEU on the embedded corpus, by the rules of docs/speedrun.md: ``python -m scripts.speedrun [CONFIG]``.

Each seed is an ordinary ``seq2seq train``, whose curves are watched and which is stopped (SIGTERM) at the validation
that reaches the mark. The corpus and its subwords are prepared before the clock starts. Knows the command line and the
files of a run, so that whoever competes changes configs and code, and not this script.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from scripts.bench import machine
from seq2seq.errors import UserError

MARK = 80.0  # BLEU of the validation split, translated greedily
SEEDS = (1, 2, 3)
DATA = "e7a5a100a0a8dd4906296b9cf3d5c3815ea576ce0e0b82d861c57d85d1d0a117"
"""Fingerprint of version 1 of the embedded corpus: its text, its splits and its direction."""
BF16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
LOOK = 0.05  # seconds between two looks at the curves
ROOT = Path(__file__).resolve().parents[1]


class Refused(Exception):
    """A run that is no record; the reason is one line."""


def prepare(arguments: Sequence[str]) -> list[str]:
    """Prepare the corpus as the training does; returns the references of the validation split.

    Raises:
        Refused: it is another corpus.
    """
    from seq2seq.config.compose import compose
    from seq2seq.data import encoded
    from seq2seq.training.initial import with_subwords

    config, taken = with_subwords(compose([*arguments]), None)
    corpus = encoded.prepare(config.data, taken)
    if corpus.fingerprint != DATA:
        raise Refused(f"the data are others: fingerprint {corpus.fingerprint[:12]}, not {DATA[:12]}")
    return list(corpus.splits["valid"].lines(1))


def until(mark: float, command: Sequence[str], run: Path) -> dict[str, Any]:
    """Train from nothing until a validation reaches the mark or the training ends; what the last validation says.

    Raises:
        Refused: the training failed, or ended before its first validation.
    """
    shutil.rmtree(run, ignore_errors=True)
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        point, ended = None, False
        while not (point and point["valid/bleu"] >= mark) and not ended:
            time.sleep(LOOK)
            ended = process.poll() is not None  # before the curves are read, so that the last point is seen
            seconds, point = time.monotonic() - began, last_validation(run) or point
    finally:
        process.terminate()
        code = process.wait()
    if point is None or (ended and code):
        raise Refused(f"the training ended with exit code {code}: {' '.join(command)}")
    summed = {"seconds": round(seconds, 1), "training_seconds": round(point["train/seconds"], 1)}
    about = {"tokens": int(point["train/tokens"]), "step": int(point["step"]), "bleu": point["valid/bleu"]}
    return {"reached": point["valid/bleu"] >= mark, **summed, **about}


def last_validation(run: Path) -> dict[str, float] | None:
    """The last point of the curves that a validation wrote."""
    path = run / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    points = [json.loads(line) for line in lines if line.endswith("\n")]
    return next((point for point in reversed(points) if "valid/bleu" in point), None)


def check(run: Path, found: dict[str, Any], references: Sequence[str]) -> None:
    """See that the whole validation split was translated and scored, by weights that learned from this corpus alone.

    Raises:
        Refused: it was not.
    """
    import sacrebleu

    prints = json.loads((run / "fingerprint.json").read_text(encoding="utf-8"))
    if prints["data"] != DATA or "initial" in prints:
        raise Refused(f"{run} was trained on other data, or began with the weights of another run")
    translations = (run / "validations" / f"{found['step']}.txt").read_text(encoding="utf-8").split("\n")[:-1]
    if len(translations) != len(references):
        raise Refused(f"{len(translations)} of {len(references)} validation pairs were translated")
    bleu = sacrebleu.corpus_bleu(translations, [list(references)]).score
    if abs(bleu - found["bleu"]) > 0.01:
        raise Refused(f"the translations of step {found['step']} have {bleu:.2f} BLEU, not {found['bleu']:.2f}")


def name_of(config: str) -> str:
    """The folder of an experiment's runs; a file of one's own has another than what ships under its name."""
    return re.sub(r"[^\w.-]+", "-", config).strip("-.")


def record(config: str, options: Sequence[str], seeds: Sequence[int], mark: float, out: Path) -> dict[str, Any]:
    """Run every seed; what docs/speedrun.md asks of a record.

    Raises:
        Refused: a run breaks a rule.
    """
    name, runs = name_of(config), []
    arguments = [f"experiment={config}", "data.grammar.version=1", *options]
    references = prepare(arguments)
    for seed in seeds:
        run = out / name / f"seed-{seed}"
        place = [f"seed={seed}", "device=cpu", f"outputs={out}", f"name={name}/seed-{seed}"]
        found = until(mark, [sys.executable, "-m", "seq2seq", "train", *arguments, *place], run)
        check(run, found, references)
        runs.append({"seed": seed, **found})
        print(json.dumps(runs[-1]), flush=True)
    middle = sorted(runs, key=lambda one: (not one["reached"], one["seconds"]))[len(runs) // 2]
    saved = yaml.safe_load((out / name / f"seed-{seeds[0]}" / "config.yaml").read_text(encoding="utf-8"))
    about = machine.about("cpu", saved["trainer"]["threads"] or machine.cores())
    command = f"python -m scripts.speedrun {' '.join(sys.argv[1:])}".strip()
    result = {"seconds": middle["seconds"] if middle["reached"] else None, "runs": runs}
    what = {"config": config, "mark": mark, "command": command, "data": DATA}
    return {**what, **result, "about": about, "options": saved}


def line(record: dict[str, Any]) -> str:
    """The record as a row of the table in docs/speedrun.md."""
    about, runs, features = record["about"], record["runs"], record["about"]["features"]
    bf16 = next((name for key, name in BF16.items() if key in features), "no bf16")
    seconds = "not reached" if record["seconds"] is None else f"{record['seconds']:.0f}"
    each = ", ".join(f"{one['seconds']:.0f}" if one["reached"] else f"> {one['seconds']:.0f}" for one in runs)
    training, tokens = (statistics.median(one[key] for one in runs) for key in ("training_seconds", "tokens"))
    columns = [seconds, each, f"{training:.0f}", f"{tokens / 1e6:.2f}M", f"`{record['config']}`"]
    columns += [f"{about['processor']}, {bf16}, {about['cores']} cores", f"`{about['commit']}`", about["date"][:10]]
    return f"| {' | '.join(columns)} |"


def main() -> int:
    """Measure, store the record, print its row."""
    parser = argparse.ArgumentParser("python -m scripts.speedrun", description="Time to 80 BLEU; docs/speedrun.md.")
    parser.add_argument("config", nargs="?", default="transformer", help="an experiment, or path/to/mine.yaml")
    parser.add_argument("options", nargs="*", metavar="key=value", help="options of seq2seq train")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="1,2,3: those of a record")
    parser.add_argument("--mark", type=float, default=MARK, help="validation BLEU")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "speedrun")
    given = parser.parse_args()
    if not all(seed.isdecimal() for seed in given.seeds.split(",")):
        parser.error(f"--seeds {given.seeds}: give whole numbers, e.g. 1,2,3")
    seeds = [int(seed) for seed in given.seeds.split(",")]
    try:
        found = record(given.config, given.options, seeds, given.mark, given.out.resolve())
    except Refused as error:
        print(f"no record: {error}", file=sys.stderr)
        return 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    path = given.out / f"{name_of(given.config)}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{line(found)}\n\n{path}")
    return 0 if found["seconds"] is not None else 1


if __name__ == "__main__":
    raise SystemExit(main())
