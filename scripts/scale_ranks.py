"""How much faster several processes train than one, on this machine: ``python -m scripts.scale_ranks [quick]``.

One process with all threads, and as many processes of one thread with as many times the global batch, in turns; float32
rates are compared on the same machine in the same run. Prints a table in Markdown.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = ("lstm", "bahdanau", "transformer")
STEPS = {"quick": 30, "full": 100}
TURNS = {"quick": 1, "full": 3}


def tokens_per_second(model: str, processes: int, threads: int, steps: int, folder: Path) -> float:
    """The median rate of a training of ``steps`` updates, the first fifth left out."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    options = [
        *(
            f"experiment={model}",
            "trainer.optimizer.name=adamw",
            f"trainer.max_steps={steps}",
            f"trainer.valid_every={steps}",
            "trainer.valid_pairs=4",
        ),
        *(f"trainer.threads={threads}", f"trainer.accumulate={processes}", "trainer.log_every=5", "trainer.samples=0"),
        *("data.grammar.pairs=20000", "decode.beam=1", "overwrite=true", f"outputs={folder}", "name=rate"),
        f"data.cache={folder / 'cache'}",
    ]
    command = [sys.executable, *launcher, "-m", "seq2seq", "train", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    points = [json.loads(line) for line in (folder / "rate" / "metrics.jsonl").read_text().splitlines()]
    rates = [point["train/tokens_per_s"] for point in points if "train/tokens_per_s" in point]
    return statistics.median(rates[len(rates) // 5 :])


def main() -> None:
    size = "quick" if sys.argv[1:] == ["quick"] else "full"
    cores = os.cpu_count() or 1
    print(f"| model | 1 process, {cores} threads | {cores} processes, 1 thread each | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for model in MODELS:
            rates = [
                [tokens_per_second(model, number, cores // number, STEPS[size], Path(place)) for number in (1, cores)]
                for _ in range(TURNS[size])
            ]
            one, several = (statistics.median(turn[way] for turn in rates) for way in (0, 1))
            ratios = ", ".join(f"{turn[1] / turn[0]:.2f}" for turn in rates)
            print(f"| `{model}` | {one:,.0f} | {several:,.0f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
