"""How the cost of a corpus grows with its size: `python -m scripts.scale_data [--quick] [--sizes 10000 …]`.

Text is written once from the embedded grammar; sizes above a million repeat it, each time in another order. Then every
size is prepared by a process of its own (SentencePiece, encoding and writing included), whose memory is sampled with
that of its workers; another process opens what was prepared and asks for batches. Prints Markdown: seconds, peak
memory, time to the first batch, milliseconds a batch, their exponents (slopes of the logarithms) and what a billion
pairs would take. `--tree DIR` prepares with another checkout, in turns.

Knows files and processes; nothing inside the package but `prepare` and `BatchStream`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MILLION = 1_000_000
SIZES = (10_000, 100_000, MILLION, 10 * MILLION)
SPLITS, LANGUAGES = ("train", "valid", "test"), ("en", "de")
EVERY = 0.2  # seconds between two samples of the memory

OPTIONS = """
import json, sys, time
from seq2seq.config.schema import DataConfig, SplitConfig, SubwordConfig
from seq2seq.data.encoded import prepare
text, cache = sys.argv[1:]
splits = {name: SplitConfig(src=f"{text}/{name}.en", tgt=f"{text}/{name}.de") for name in ("train", "valid", "test")}
subwords = SubwordConfig(vocab_size=2000, byte_fallback=False)
data = DataConfig(source="text", src="en", tgt="de", cache=cache, subwords=subwords, **splits)
began = time.perf_counter()
corpus = prepare(data)
opened = time.perf_counter() - began
"""
PREPARE = OPTIONS + "print(json.dumps({'prepared': opened}))"
BATCHES = (
    OPTIONS
    + """
from seq2seq.data.batches import BatchStream
stream = BatchStream(corpus.splits["train"], 4_000, seed=1)
next(stream)
first = time.perf_counter() - began
began = time.perf_counter()
for _ in range(500):
    next(stream)
print(json.dumps({"first": first, "batch": (time.perf_counter() - began) / 500}))
"""
)


def write_text(folder: Path, pairs: int) -> Path:
    """The text of so many pairs below ``folder``."""
    place = folder / f"text-{pairs}"
    if (place / "done").exists():
        return place
    print(f"writing {pairs:,} pairs", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if pairs > MILLION:
        _repeat(write_text(folder, MILLION), place, pairs // MILLION)
    else:
        _generate(place, pairs)
    (place / "done").touch()
    return place


def _generate(place: Path, pairs: int) -> None:
    from seq2seq import grammar

    corpus = grammar.corpus(pairs=pairs, valid=500, test=1_000, min_words=3, max_words=60, seed=1)
    for split in SPLITS:
        for language, side in zip(LANGUAGES, ("src", "tgt"), strict=True):
            lines = [pair.src if side == "src" else pair.tgt for pair in corpus[split]]
            (place / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _repeat(million: Path, place: Path, times: int) -> None:
    for language in LANGUAGES:
        for split in ("valid", "test"):
            shutil.copy(million / f"{split}.{language}", place)
        lines = (million / f"train.{language}").read_bytes().splitlines(keepends=True)
        with (place / f"train.{language}").open("wb") as file:
            for seed in range(times):
                file.writelines([lines[row] for row in np.random.default_rng(seed).permutation(len(lines)).tolist()])


def measured(tree: Path, program: str, text: Path, cache: Path) -> dict[str, float]:
    """What a program prints, its seconds with those of its imports, and the peak of its and its children's memory."""
    command = [sys.executable, "-c", program, str(text), str(cache)]
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=tree, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(EVERY)
        assert process.stdout is not None
        if process.returncode:
            raise SystemExit(f"{program}\nended with {process.returncode}")
        found: dict[str, float] = json.loads(process.stdout.read())
    return found | {"whole": time.perf_counter() - began, "peak": peak / 1e6}


def memory(root: int) -> int:
    """Bytes of a process and its descendants, shared pages counted once (Linux; elsewhere 0)."""
    parents, total = dict[int, int](), 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    for pid in parents:
        above = pid
        while above in parents and above != root:
            above = parents[above]
        if above == root:
            total += _proportional(pid)
    return total


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def measure(folder: Path, pairs: int, trees: dict[str, Path], rounds: int) -> dict[str, float]:
    """One row of the table."""
    text, row = write_text(folder, pairs), dict[str, float](pairs=pairs)
    for turn in range(rounds):
        for name, tree in trees.items():
            cache = folder / f"cache-{name}-{pairs}"
            shutil.rmtree(cache, ignore_errors=True)
            found = measured(tree, PREPARE, text, cache)
            best = row.get(f"{name} seconds", float("inf"))
            row[f"{name} seconds"] = min(best, found["prepared"])
            row[f"{name} MB"] = max(row.get(f"{name} MB", 0.0), found["peak"])
            print(f"{pairs:,} {name} round {turn}: {found}", file=sys.stderr, flush=True)
    cache = folder / f"cache-new-{pairs}"
    time.sleep(3)  # a file that was just written is not trusted to stay
    measured(trees["new"], PREPARE, text, cache)
    opened = measured(trees["new"], BATCHES, text, cache)
    row |= {"first batch": opened["first"], "from the start": opened["whole"] - 500 * opened["batch"]}
    return row | {"ms a batch": 1e3 * opened["batch"], "rank MB": opened["peak"]}


def exponent(rows: list[dict[str, float]], key: str) -> float:
    """The slope of the logarithm over the logarithm of the number of pairs."""
    pairs, values = ([row[name] for row in rows] for name in ("pairs", key))
    return float(np.polyfit(np.log(pairs), np.log(np.maximum(values, 1e-9)), 1)[0])


def table(rows: list[dict[str, float]]) -> str:
    """Markdown."""
    keys = list(rows[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    for row in rows:
        cells = [f"{row[key]:,.0f}" if key == "pairs" or row[key] >= 100 else f"{row[key]:.3g}" for key in keys]
        lines.append("| " + " | ".join(cells) + " |")
    if len(rows) > 1:
        slopes = [f"{exponent(rows, key):.2f}" for key in keys[1:]]
        lines.append("| exponent | " + " | ".join(slopes) + " |")
        last, factor = rows[-1], 1e9 / rows[-1]["pairs"]
        hours = last["new seconds"] * factor / 3600
        lines.append(f"\nA billion pairs at the rate of the last row: {hours:.1f} hours on {os.cpu_count()} cores.")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 100,000 pairs, a few minutes")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of pairs; above a million, whole millions")
    parser.add_argument("--tree", type=Path, help="also prepare with this checkout, in turns")
    parser.add_argument("--rounds", type=int, default=1, help="how often each size is prepared; the fastest counts")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/scale_data"), help="for text and caches")
    given = parser.parse_args()
    trees = ({"old": given.tree} if given.tree else {}) | {"new": ROOT}
    sizes = given.sizes or (SIZES[:2] if given.quick else SIZES)
    rows = [measure(given.folder, pairs, trees, given.rounds) for pairs in sizes]
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
