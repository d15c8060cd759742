"""The mean of several checkpoints' weights as a further checkpoint. Knows run folders and their curves; no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from seq2seq.errors import UserError
from seq2seq.runs import checkpoint
from seq2seq.runs.run import KEPT, Run


def last(run: Run, count: int) -> list[Path]:
    """The last ``count`` of the checkpoints that ``trainer.keep`` kept. Raises ``UserError`` where there are fewer."""
    return _enough(run, sorted(_kept(run).items())[-count:], count)


def best(run: Run, count: int) -> list[Path]:
    """The ``count`` kept checkpoints of the best ``trainer.metric`` at validation. Raises as ``last`` does."""
    metric = run.load_config().trainer.metric
    curve, sign = run.curve(f"valid/{metric}"), 1 if metric == "nll" else -1
    values = {step: curve.get(step, math.nan) for step in _kept(run)}
    ranked = sorted(_kept(run).items(), key=lambda kept: (math.isnan(values[kept[0]]), sign * values[kept[0]]))
    return _enough(run, ranked[:count], count)


def _kept(run: Run) -> dict[int, Path]:
    """The kept checkpoints by the update after which they were validated."""
    paths = run.checkpoint(f"{KEPT}*").parent.glob(f"{KEPT}*.safetensors")
    steps = {path.stem.removeprefix(KEPT): path for path in paths}
    return {int(step): path for step, path in steps.items() if step.isdecimal()}


def _enough(run: Run, chosen: Sequence[tuple[int, Path]], count: int) -> list[Path]:
    if len(chosen) < count:
        raise UserError(
            f"{run.folder} has kept {len(chosen)} checkpoints, not {count}: ask for fewer, or train with "
            f"trainer.keep={count}"
        )
    return [path for _, path in chosen]


def write(paths: Sequence[Path], out: Path) -> None:
    """Write the mean of the weights in ``paths`` as the checkpoint ``out``.

    Raises:
        UserError: checkpoints of different models or vocabularies, or with numbers that are not finite.
    """
    first = checkpoint.part(checkpoint.read(paths[0])[0], "model")
    vocabulary = _vocabulary(paths[0])
    for path in paths:
        weights = checkpoint.part(checkpoint.read(path)[0], "model")
        unlike = sorted(first.keys() ^ weights.keys()) or [n for n in first if first[n].shape != weights[n].shape]
        if unlike or _vocabulary(path) != vocabulary:
            what = f"{unlike[0]} differs" if unlike else "its subwords differ"
            raise UserError(f"{path}: another model than {paths[0]} ({what}): no mean of the two is possible")
        if broken := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
            raise UserError(f"{path}: {broken[0]} holds numbers that are not finite: leave it out")
    checkpoint.save_weights(out, checkpoint.average(list(paths)), {"mean of": [path.name for path in paths]})


def _vocabulary(path: Path) -> list[bytes]:
    """The subword models of the run in which a checkpoint lies; none where it lies in no run."""
    return [model.read_bytes() for model in sorted(Run(path.parent.parent).subwords.glob("*.model"))]
