"""What ``trainer.compile`` gains on this machine's GPU: ``python -m scripts.compile_speed [MODEL …]``. Never run yet.

Each model trains plainly and compiled, in turns. Prints target tokens a second of both and the seconds that compiling
took, as a table in Markdown.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = ("transformer-wmt", "transformer-wmt-big", "bahdanau-wmt", "lstm-wmt", "transformer")
TURNS, STEPS, EVERY = 3, 300, 10


def measure(model: str, compile: bool, folder: Path) -> tuple[float, float]:
    """Target tokens a second once all is compiled, and the seconds that the training took beside that rate."""
    options = [
        *(f"model={model}", f"trainer.max_steps={STEPS}", f"trainer.valid_every={STEPS}", "trainer.valid_pairs=4"),
        *("trainer.batch_tokens=16000", f"trainer.log_every={EVERY}", "trainer.samples=0", "decode.beam=1"),
        *("data.grammar.pairs=50000", "data.grammar.test=8", "device=cuda", f"trainer.compile={compile}"),
        *(f"outputs={folder}", "name=rate", "overwrite=true", f"data.cache={folder / 'cache'}"),
    ]
    done = subprocess.run([sys.executable, "-m", "seq2seq", "train", *options], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr.strip().splitlines()[-1])
    points = [json.loads(line) for line in (folder / "rate" / "metrics.jsonl").read_text().splitlines()]
    rates = [point["train/tokens_per_s"] for point in points if "train/tokens_per_s" in point]
    summary = json.loads((folder / "rate" / "summary.json").read_text())
    rate = statistics.median(rates[len(rates) // 2 :])
    return rate, summary["seconds"] - summary["tokens"] / rate


def main() -> None:
    print("| model | plain | compiled | ratios | seconds of compiling |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for model in sys.argv[1:] or MODELS:
            turns = [[measure(model, compile, Path(place)) for compile in (False, True)] for _ in range(TURNS)]
            plain, compiled = (statistics.median(turn[way][0] for turn in turns) for way in (0, 1))
            ratios = ", ".join(f"{turn[1][0] / turn[0][0]:.2f}" for turn in turns)
            seconds = statistics.median(turn[1][1] - turn[0][1] for turn in turns)
            print(f"| `{model}` | {plain:,.0f} | {compiled:,.0f} | {ratios} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
