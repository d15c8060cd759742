"""``seq2seq doctor``. Knows arguments and tables; ``doctor`` examines, ``study.resuming`` proves by kills."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import seq2seq
from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.config.schema import Config, DataConfig
from seq2seq.errors import UserError

if TYPE_CHECKING:
    from seq2seq.doctor.corpus import Examination
    from seq2seq.doctor.findings import Finding

ABOUT = """Say what is installed and what this machine offers. With data=… and other
options of a training, examine its corpus: sides that do not fit, are swapped or
in another language, copies, duplicates, test pairs in training, numbers,
lengths, characters; the exit code is 1 if something is serious. With --resume,
prove that a training that is killed goes on to the same bits: a small run of
each model is killed at random moments, started again, and compared with one
that was not."""
MODELS = ("lstm", "bahdanau", "transformer")
KILLS, MOST_KILLS = 3, 1_000
SEED = 1


def parser() -> Parser:
    taken = Parser("doctor", ABOUT)
    taken.add_argument("arguments", nargs="*", metavar="key=value", help="the corpus, as seq2seq train takes it")
    taken.add_argument("--drop", metavar="FILE", help="write what to leave out, for data.filters.drop=FILE")
    taken.add_argument("--json", action="store_true", help="print the findings as JSON")
    taken.add_argument("--resume", action="store_true", help="train a small run of each model under kills")
    taken.add_argument("--kills", type=int, metavar="N", help=f"kills of each model (default: {KILLS})")
    taken.add_argument("--seed", type=int, metavar="N", help=f"of the moments of the kills (default: {SEED})")
    return taken


def validate(given: Arguments) -> Config | None:
    """The config of the corpus, if there is one.

    Raises:
        UserError: an impossible number of kills, a system on which no process can be forked, or a wrong option.
    """
    for flag, value in (("--kills", given.kills), ("--seed", given.seed)):
        if value is not None and not given.resume:
            raise UserError(f"{flag} is of the trainings that are killed: give --resume as well")
    if given.kills is not None and not 1 <= given.kills <= MOST_KILLS:
        raise UserError(f"--kills={given.kills} is not possible: give a number from 1 to {MOST_KILLS}")
    if given.resume and sys.platform == "win32":
        raise UserError("--resume needs Linux or macOS: there are no such kills on Windows")
    if given.resume and (given.arguments or given.drop or given.json):
        raise UserError("--resume takes no corpus, --drop or --json: it trains on a corpus of its own")
    if not given.arguments:
        if given.drop:
            raise UserError("--drop needs a corpus: give data=… and its files as to seq2seq train")
        return None
    from seq2seq.config.compose import compose

    if given.drop:
        from seq2seq.data.dropping import check_drop_place

        check_drop_place(Path(given.drop))
    return compose(given.arguments)


def run(given: Arguments, config: Config | None) -> int:
    """Print tables or JSON; the exit code is 1 for a serious finding, and for a resumed run that differs."""
    if given.resume:
        return _resume(given.kills or KILLS, SEED if given.seed is None else given.seed)
    if config is not None:
        return _corpus(config.data, given.drop, given.json)
    from seq2seq.doctor.machine import machine, versions
    from seq2seq.system.files import to_json
    from seq2seq.terminal.tables import print_figures

    figures = versions() | machine()
    if given.json:
        print(to_json(figures, indent=2))
    else:
        print_figures(f"seq2seq-trainer {seq2seq.__version__}", figures)
    return 0


def _corpus(data: DataConfig, drop: str | None, as_json: bool) -> int:
    from dataclasses import replace

    from seq2seq.data.dropping import write_drop
    from seq2seq.doctor import findings
    from seq2seq.doctor.corpus import examine
    from seq2seq.doctor.line_languages import identifier
    from seq2seq.system.files import to_json

    data = replace(data, filters=replace(data.filters, drop=None))  # numbers are those of the files
    examined = examine(data, identifier(), partial(print, file=sys.stderr))
    found = list(findings.findings(examined))
    if drop and _can_drop(examined):
        write_drop(Path(drop), examined.source.parts("train"), findings.dropped(examined))
    if as_json:
        told = {
            "pairs": {name: split.size for name, split in examined.splits.items()},
            "findings": found,
            "unit": examined.splits["test"].unit.name,
            "source_lengths": findings.histogram(examined),
            "long_test_sentences": findings.long_sentences(examined),
            "languages_by": "words and py3langid" if examined.identified else "words and script",
            "words_fit": examined.shift is not None,
        }
        print(to_json(told, indent=2))
    else:
        _print(examined, found, drop)
    return 1 if any(finding["serious"] for finding in found) else 0


def _print(examined: Examination, found: list[Finding], drop: str | None) -> None:
    from seq2seq.doctor import findings
    from seq2seq.terminal.tables import say

    _print_lengths(examined)
    say(findings.bottleneck(examined))
    for limit in findings.limits(examined):
        say(limit)
    for each in found:
        mark, what = "serious" if each["serious"] else "note", findings.KINDS[each["kind"]].what
        say(f"{mark}: {each['split']}: {what}: {_amount(each, examined.splits[each['split']].size)}")
        if each["first"]:
            more = ", …" if each["count"] > len(each["first"]) and each["kind"] != "unequal" else ""
            say(f"    line{'s' * (len(each['first']) > 1)} {', '.join(each['first'])}{more}")
        say(f"    {each['todo']}")
    if drop:
        say(_dropped(examined, drop))
    if serious := sum(each["serious"] for each in found):
        say(f"{serious} serious finding{'s' * (serious > 1)}: mend the corpus before it is trained on")
    else:
        say(f"nothing {'serious ' if found else ''}was found: it can be trained on")


def _print_lengths(examined: Examination) -> None:
    """The histogram, without the empty rows at its end."""
    from seq2seq.doctor import findings
    from seq2seq.terminal.tables import print_table

    lengths = findings.histogram(examined)
    sizes = {name: f"{split.size:,}" for name, split in examined.splits.items()}
    labels = list(next(iter(lengths.values())))
    while len(labels) > 1 and not any(counts[labels[-1]] for counts in lengths.values()):
        labels.pop()
    rows = [(label, *(f"{lengths[name][label]:,}" for name in sizes)) for label in labels]
    unit = examined.splits["test"].unit.name
    print_table(f"sentences by source {unit}", (unit, *sizes), [*rows, None, ("all", *sizes.values())])


def _amount(each: Finding, size: int) -> str:
    """How many pairs have a fault; of files, by how many lines one is longer."""
    s = "s" * (each["count"] > 1)
    if each["kind"] == "unequal":
        return f"by {each['count']:,} line{s}"
    return f"{each['count']:,} pair{s} of {size:,} ({each['share']:.2%})"


def _dropped(examined: Examination, drop: str) -> str:
    """What is in the filter file, and what to do with it."""
    from seq2seq.doctor import findings

    if not _can_drop(examined):
        return f"{drop} is not written: it would be of a text that cannot be trained on before its files are mended"
    count = sum(map(len, findings.dropped(examined)))
    if not count:
        return f"{drop} names no training pair: there is nothing to leave out"
    return f"{count:,} training pair{'s' * (count > 1)} in {drop}: train with data.filters.drop={drop}"


def _can_drop(examined: Examination) -> bool:
    """Whether the training files are those that will be trained on: each as long as the other."""
    return all(each.split != "train" for each in examined.unequal)


def _resume(kills: int, seed: int) -> int:
    from seq2seq.study.resuming import prove
    from seq2seq.terminal.tables import print_table, say

    with tempfile.TemporaryDirectory(prefix="seq2seq-doctor-") as folder:
        proofs = [prove(model, kills, Path(folder), seed, partial(print, file=sys.stderr)) for model in MODELS]
    rows = [
        (proof.model, f"{proof.kills}", f"{proof.finished}", ", ".join(map(str, proof.resumed_at)), proof.verdict)
        for proof in proofs
    ]
    columns = ("model", "kills", "whole runs", "went on after update", "compared with the undisturbed run")
    print_table("trainings under SIGKILL", columns, rows, left=("model", "went on after update", columns[-1]))
    for proof in proofs:
        for difference in proof.differences:
            say(f"{proof.model}: {difference}")
    return 1 if any(proof.differences for proof in proofs) else 0
