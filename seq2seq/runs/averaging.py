"""The mean of several checkpoints' weights as a further checkpoint. Knows run folders and their curves; no model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from seq2seq.errors import UserError
from seq2seq.runs import checkpoint
from seq2seq.runs.run import KEPT, Run


def last(run: Run, count: int) -> list[Path]:
    """The last ``count`` of the checkpoints that ``trainer.keep`` kept. Raises ``UserError`` where there are fewer."""
    return _enough(run, sorted(_kept(run).items())[-count:], count)


def best(run: Run, count: int) -> list[Path]:
    """The ``count`` kept checkpoints of the best ``trainer.metric`` at validation. Raises as ``last`` does."""
    metric, kept = run.load_config().trainer.metric, _kept(run)
    curve = run.curve(f"valid/{metric}")
    ranked = best_first({step: curve.get(step, math.nan) for step in kept}, metric != "nll")
    return _enough(run, [(step, kept[step]) for step in ranked[:count]], count)


def best_first(values: Mapping[int, float], higher_is_better: bool) -> list[int]:
    """The updates by the value of their validation: of equal ones the earlier first, those without a number last."""
    sign = -1 if higher_is_better else 1
    return sorted(values, key=lambda step: (math.isnan(values[step]), sign * values[step], step))


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
        UserError: checkpoints of different models or vocabularies, or with numbers that are not finite; another
            content of ``out``.
    """
    vocabulary = _vocabulary(paths[0])
    if strangers := [path for path in paths if _vocabulary(path) != vocabulary]:
        what = "its subwords differ"
        raise UserError(f"{strangers[0]}: another model than {paths[0]} ({what}): no mean of the two is possible")
    mean = checkpoint.average(paths)
    held = checkpoint.part(checkpoint.read(out)[0], "model") if out.exists() else mean
    if checkpoint.checksum(held, "") != checkpoint.checksum(mean, ""):
        raise UserError(f"{out} is there, the mean of other weights: give --out FILE")
    checkpoint.save_weights(out, mean, {"mean of": [path.name for path in paths]})


def doubt(paths: Sequence[Path]) -> str | None:
    """What speaks against a mean of these checkpoints, as a warning: units of two trainings mean different things."""
    runs = {path.resolve().parent.parent for path in paths}
    if sum(Run(folder).has_config() for folder in runs) < 2:
        return None
    return "warning: checkpoints of several trainings: their mean translates only if all began from the same weights"


def _vocabulary(path: Path) -> list[bytes]:
    """The subword models of the run in which a checkpoint lies; none where it lies in no run."""
    return [model.read_bytes() for model in sorted(Run(path.parent.parent).subwords.glob("*.model"))]
