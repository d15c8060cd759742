"""Training curves with our kernels over those with plain torch operations.

    python -m scripts.kernels.curves MODEL [key=value …]

Trains MODEL twice by `seq2seq train`, from the same weights on the same batches: with our kernels, and inside
`kernels.plain()`. Prints both curves, their largest distance and the test scores of both, and draws them into
outputs/curves/. With dropout the two draw different masks, so that their curves agree only on the whole.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from seq2seq.cli import main as cli
from seq2seq.config.compose import compose
from seq2seq.models import kernels
from seq2seq.runs.run import Run, run_of

FOLDER = Path("outputs/curves")


def show(runs: dict[str, Run], picture: Path) -> None:
    """Print both curves beside each other, and draw them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, tag in zip(figure.subplots(1, 2), ("train/nll", "valid/bleu"), strict=True):
        curves = {form: run.curve(tag) for form, run in runs.items()}
        fast, slow = curves["fast"], curves["plain"]
        print(f"\n{tag:>12}   fast   plain")
        steps = sorted(fast.keys() & slow.keys())
        for step in steps[:: max(len(steps) // 10, 1)]:
            print(f"{step:>12} {fast[step]:6.2f}  {slow[step]:6.2f}")
        step = max(steps, key=lambda step: abs(fast[step] - slow[step]))
        print(f"farthest from each other at {step}: {abs(fast[step] - slow[step]):.1e}")
        for (form, curve), style in zip(curves.items(), ("-", "--"), strict=True):
            axes.plot(list(curve), list(curve.values()), style, label=form)
        axes.set(xlabel="updates", ylabel=tag)
        axes.legend()
    figure.savefig(picture)
    for form, run in runs.items():
        print(f"{form:<6} test BLEU {run.load_summary()['test']['bleu']:.2f}")
    print(picture)


def main() -> int:
    """Train the fast form here, then the plain one, then compare."""
    if len(sys.argv) < 2 or "=" in sys.argv[1] or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    model, *options = sys.argv[1:]
    runs = {}
    for form in ("fast", "plain"):
        arguments = [f"experiment={model}", f"outputs={FOLDER}", *options, f"name={model}-{form}", "overwrite=true"]
        with kernels.plain() if form == "plain" else contextlib.nullcontext():
            code = cli.main(["train", *arguments])
        if code:
            return code
        runs[form] = run_of(compose(arguments))
    show(runs, FOLDER / f"{model}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
