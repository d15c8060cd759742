"""Whether runs may be compared: fingerprints, configs, numbers of parameters. Knows run folders; no torch.

What differs is an error, unless the user said ``anyway``: then it becomes a warning beside the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.runs.records import Fingerprint
from seq2seq.runs.run import Run, differences

COMPARED = ("data", "subwords", "references", "code", "versions", "legs", "initial")
"""Entries of a fingerprint that must agree."""
MAY_DIFFER = ("model.", "seed", "trainer.optimizer.lr", "trainer.optimizer.name")
"""Keys in which the runs of a study differ by design: each model is trained by what suits it."""
OF_EQUAL_COST = ("trainer.max_tokens", "trainer.optimizer.warmup_steps")
"""Further ones where the runs have equal cost, not equal tokens: warm-up is a share of a training."""


def unlike(runs: Sequence[Run], allowed: Sequence[str] = ()) -> list[str]:
    """A line for each run whose fingerprint or config disagrees with the first one's.

    Models, seeds, optimisers and learning rates may differ, and the keys that begin with one of ``allowed``.
    """
    first, *others = runs
    config = first.load_config()
    reasons = []
    for other in others:
        differing = [*unlike_entries(first, other), *_unlike_options(config, other.load_config(), allowed)]
        if differing:
            reasons.append(f"{other.folder} is not like {first.folder}: {'; '.join(differing[:4])}")
    return reasons


def _unlike_options(one: Config, two: Config, allowed: Sequence[str]) -> list[str]:
    """Each option in which two configs disagree but should not."""
    return [told for told in differences(one, two) if not told.startswith((*MAY_DIFFER, *allowed))]


def check_configs(configs: Sequence[tuple[str, Config]], anyway: bool, allowed: Sequence[str] = ()) -> None:
    """``check_alike`` of what is planned, by its labels: of the configs alone, before there are runs.

    Raises:
        UserError: two differ in more than they should, and ``anyway`` is false.
    """
    (label, first), *others = configs
    differing = [(name, told) for name, config in others if (told := _unlike_options(first, config, allowed))]
    _refuse([f"{name} is not like {label}: {'; '.join(told[:4])}" for name, told in differing], anyway)


def unlike_entries(first: Run, other: Run) -> list[str]:
    """Entries of ``COMPARED`` in which two fingerprints disagree."""
    return _differing(first.load_fingerprint(), other.load_fingerprint())


def _differing(one: Fingerprint, two: Mapping[str, object]) -> list[str]:
    """Entries of ``COMPARED`` in which the two disagree."""
    return [entry for entry in COMPARED if one.get(entry) != two.get(entry)]


def check_alike(runs: Sequence[Run], anyway: bool, allowed: Sequence[str] = ()) -> list[str]:
    """``unlike``, as warnings. Raises ``UserError`` unless ``anyway``, and always for different test sentences."""
    for run in runs[1:]:
        if "references" in unlike_entries(runs[0], run):
            first = runs[0].folder
            raise UserError(f"{run.folder} was tested on other sentences than {first}: no comparison is possible")
    return _refuse(unlike(runs, allowed), anyway)


def check_fingerprints(runs: Sequence[Run], anyway: bool) -> list[str]:
    """``check_alike`` for trials and variants, whose configs differ by design: of the fingerprints alone."""
    return _refuse(unlike(runs, ("",)), anyway)  # every key begins with the empty prefix


def check_of_other_text(first: Run, other: Run, anyway: bool, own_subwords: bool = True) -> list[str]:
    """``check_fingerprints`` for a run that learns from other text: its test and its code must be the first's.

    So must its subwords, unless it may have its own.
    """
    may_differ = {"data", "subwords"} if own_subwords else {"data"}
    entries = sorted(set(unlike_entries(first, other)) - may_differ)
    return _refuse([f"{other.folder} is not like {first.folder}: {'; '.join(entries)}"] if entries else [], anyway)


def check_as_now(runs: Sequence[Run], now: Mapping[str, object], anyway: bool) -> list[str]:
    """Warnings for runs that were made by other code or versions than ``now``, or from other text.

    Raises:
        UserError: there are such, and ``anyway`` is false.
    """
    reasons = []
    for run in runs:
        differing = [entry for entry in _differing(run.load_fingerprint(), now) if entry in now]
        if differing:
            reasons.append(f"{run.folder} is not like a run that begins now: {', '.join(differing)}")
    return _refuse(reasons, anyway)


def _refuse(reasons: list[str], anyway: bool) -> list[str]:
    if reasons and not anyway:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        raise UserError(f"{reasons[0]}{more}: a comparison would mix them up; to show them marked, say anyway")
    return reasons


def check_parameters(counts: dict[str, int], tolerance: float, anyway: bool) -> list[str]:
    """A warning where the largest model has more parameters than the smallest allows, by the share ``tolerance``.

    Raises:
        UserError: it has, and ``anyway`` is false.
    """
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] <= counts[least] * (1 + tolerance):
        return []
    excess = counts[most] / counts[least] - 1
    reason = f"{most} has {counts[most]:,} parameters, {excess:.1%} more than {least}'s {counts[least]:,}"
    if not anyway:
        raise UserError(f"{reason}, above the tolerance of {100 * tolerance:g}%: change a width, or say anyway")
    return [reason]
