"""Fuzz the readers of configs, corpora, checkpoints and alignments: ``python -m scripts.fuzz --seconds 600``.

Valid files are changed at random and read again; the only answers are success and ``UserError``. Everything else, a
reader that takes longer than ``LONGEST``, and a process that dies are findings, printed with the number that makes the
same input again: ``--reader NAME --only NUMBER``. Each input follows from the reader's name and its number alone. The
cases that such a search found are rows of the tables in ``tests/hostile``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import datasets  # noqa: F401 (loaded once, not in every process)
import torch
import yaml

from seq2seq.config.schema import DECODERS, ENCODERS, Config, DataConfig, ModelConfig, SplitConfig
from seq2seq.config.validation import to_plain
from seq2seq.data.sources import open_source
from seq2seq.errors import UserError
from seq2seq.evaluation.alignment import read_gold
from seq2seq.runs.checkpoint import load_weights, save_weights
from seq2seq.runs.run import Run

LONGEST = 10.0  # seconds that a reader may take
ROUND = 200  # inputs that one process reads; the next begins with a fresh one
MEMORY = 6 << 30  # bytes of address space for such a process
LINES = [(f"ab ca {n}", f"ba cb {n}") for n in "aabbccabcabcaabbcc"]
PIECES = [
    *(
        b"",
        b"\0",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b"-",
        b"0",
        b"1e999",
        b"-1",
        b"99999999999999999999",
        b"NaN",
        b"null",
        b"true",
    ),
    *(
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        "é日👩‍🚀\u2028".encode(),
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"&a ",
        b"*a",
    ),
    *(b"!!set ", b"${seed}", b"???", b"<<: ", b"---\n", b"2026-11-28", b"0-0", b"3p1", b"2?2", b"0x10", b"1_000", b"~"),
]
"""What is put into files beside bytes of their own."""


def mutate(data: bytes, draw: random.Random) -> bytes:
    """One to eight changes: bytes replaced, removed, repeated, moved, or one of ``PIECES`` put in."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        at = draw.randrange(len(out) + 1)
        end = min(len(out), at + draw.choice((1, 1, 2, 8, 64)))
        match draw.randrange(7):
            case 0:
                out[at:end] = draw.randbytes(end - at)
            case 1:
                del out[at:end]
            case 2:
                out[at:at] = draw.choice(PIECES)
            case 3:
                out[at:end] = draw.choice(PIECES)
            case 4:
                out[at:at] = bytes(out[at:end]) * draw.choice((1, 2, 20))
            case 5 if at < len(out):
                out[at] ^= 1 << draw.randrange(8)
            case 6:
                out = out[: draw.choice((at, len(out)))]
    return bytes(out)


# ------------------------------------------------------------------------------------------------------------ readers


def config_seed() -> list[bytes]:
    """Configs as runs save them, of each kind of encoder and decoder."""
    plain = [
        to_plain(Config(model=ModelConfig(name="m", encoder=encoder(), decoder=decoder())))
        for encoder, decoder in zip([*ENCODERS.values(), *ENCODERS.values()], DECODERS.values(), strict=False)
    ]
    for config in plain:
        config["trainer"]["max_steps"] = 1
    return [yaml.safe_dump(config, sort_keys=False).encode() for config in plain]


def read_config(folder: Path, data: bytes, draw: random.Random) -> None:
    """Read the config of a run folder."""
    (folder / "config.yaml").write_bytes(data)
    Run(folder).load_config()


def corpus_seed() -> list[bytes]:
    """The same pairs as TSV, CSV and JSON lines."""
    tabbed = "".join(f"{src}\t{tgt}\n" for src, tgt in LINES).encode()
    objects = "".join(json.dumps({"en": src, "de": tgt}) + "\n" for src, tgt in LINES).encode()
    return [tabbed, b"en,de\n" + tabbed.replace(b"\t", b","), objects]


def read_corpus(folder: Path, data: bytes, draw: random.Random) -> None:
    """Read a corpus, most often as text or TSV: the other formats go through a library that takes its time."""
    source = draw.choice(("text", "text", "tsv", "tsv", "tsv", "csv") + ("jsonl",) * (data[:1] == b"{"))
    path = folder / "own"
    path.write_bytes(data)
    split = SplitConfig(src=str(path), tgt=str(path)) if source == "text" else SplitConfig(file=str(path))
    options = DataConfig(source=source, train=split, holdout=2, cache=str(folder / "cache"))
    for _ in open_source(options).pairs("train"):
        pass


def checkpoint_seed() -> list[bytes]:
    """A checkpoint with weights and state."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.safetensors"
        save_weights(path, {"weight": torch.arange(12.0).view(3, 4), "bias": torch.ones(3)}, {"step": 3, "list": [1]})
        return [path.read_bytes()]


def read_checkpoint(folder: Path, data: bytes, draw: random.Random) -> None:
    """Load the weights of a linear layer."""
    path = folder / "best.safetensors"
    path.write_bytes(data)
    load_weights(path, torch.nn.Linear(4, 3))


def alignment_seed() -> list[bytes]:
    """Alignments in Pharaoh format."""
    return [b"0-0 1-1 2p2\n" * 4, b"0-0\n\n1?2 2-1\n0-2\n"]


def read_alignment(folder: Path, data: bytes, draw: random.Random) -> None:
    """Read a gold alignment of four pairs of three words."""
    path = folder / "own.gold"
    path.write_bytes(data)
    read_gold(str(path), [["a"] * 3] * 4, [["b"] * 3] * 4, draw.random() < 0.2)


Reader = Callable[[Path, bytes, random.Random], None]
READERS: dict[str, tuple[Callable[[], list[bytes]], Reader]] = {
    "config": (config_seed, read_config),
    "corpus": (corpus_seed, read_corpus),
    "checkpoint": (checkpoint_seed, read_checkpoint),
    "alignment": (alignment_seed, read_alignment),
}


# ------------------------------------------------------------------------------------------------------------- rounds


class Hangs(BaseException):
    """A reader took longer than ``LONGEST``."""


def _stop(number: int, frame: object) -> None:
    raise Hangs


def attempt(name: str, number: int, folder: Path, seeds: list[bytes]) -> tuple[str, str]:
    """Read input ``number`` of a reader: "read", "refused" or the finding, and its message."""
    draw = random.Random(f"{name} {number}")
    data = mutate(draw.choice(seeds), draw)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        READERS[name][1](folder, data, draw)
    except UserError as error:
        return ("refused", "") if str(error).strip() else ("an empty message", "")
    except (Exception, Hangs) as error:  # anything else is what is looked for
        lines = str(error).splitlines() or [""]
        return type(error).__name__, lines[0][:200]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read", ""


def fuzz_round(name: str, numbers: range, report: Path) -> None:
    """In a process of its own: read inputs until it is done, and note each before and after it is read."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _stop)
    seeds = READERS[name][0]()
    with tempfile.TemporaryDirectory() as folder, report.open("w", encoding="utf-8") as out:
        for number in numbers:
            print(number, end=" ", file=out, flush=True)
            print(json.dumps(attempt(name, number, Path(folder), seeds)), file=out, flush=True)


def conduct(name: str, numbers: range) -> tuple[dict[str, int], list[str]]:
    """Fork a process for a round; the counts of its answers, and its findings."""
    with tempfile.NamedTemporaryFile() as file:
        report = Path(file.name)
        child = os.fork()
        if child == 0:
            sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (the process ends with it)
            fuzz_round(name, numbers, report)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        counts: dict[str, int] = {}
        findings = []
        for line in report.read_text(encoding="utf-8").splitlines():
            number, _, answer = line.partition(" ")
            kind, message = json.loads(answer) if answer else (f"the process died (status {status})", "")
            counts[kind] = counts.get(kind, 0) + 1
            if kind not in ("read", "refused"):
                findings.append(f"{name} {number}: {kind}: {message}")
        return counts, findings


def main() -> int:
    """Fuzz the readers in turn; the exit code is 1 where anything was found."""
    parser = argparse.ArgumentParser("python -m scripts.fuzz", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600.0, help="of all readers together (default: 600)")
    parser.add_argument("--reader", choices=READERS, help="one of them alone")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (default: 0)")
    parser.add_argument("--only", type=int, help="that input alone")
    given = parser.parse_args()
    names = [given.reader] if given.reader else list(READERS)
    found: set[str] = set()
    for name in names:
        until, first, total = time.monotonic() + given.seconds / len(names), given.first, dict[str, int]()
        numbers = range(given.only, given.only + 1) if given.only is not None else range(first, first + ROUND)
        while numbers:
            counts, findings = conduct(name, numbers)
            total = {kind: total.get(kind, 0) + counts.get(kind, 0) for kind in {**total, **counts}}
            for finding in findings:
                kind = finding.partition(": ")[2]
                if f"{name} {kind}" not in found:  # each kind once
                    found.add(f"{name} {kind}")
                    print(finding, flush=True)
            more = given.only is None and time.monotonic() < until
            numbers = range(numbers.stop, numbers.stop + ROUND) if more else range(0)
        told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(total.items()))
        print(f"{name}: {sum(total.values()):,} inputs ({told})", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
