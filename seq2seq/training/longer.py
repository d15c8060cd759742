"""Training a run longer than it was begun with: which options may change, and what the run says of it afterwards.

A longer training is a further leg of the same run. Knows configs and run folders; no model.
"""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.config.schema import LIMITS, Config
from seq2seq.errors import UserError
from seq2seq.runs.records import Fingerprint, Leg
from seq2seq.runs.run import Run, differences
from seq2seq.training.progress import TrainState

RATE = tuple(f"trainer.optimizer.{key}" for key in ("lr", "warmup_steps", "schedule", "final_lr"))
MAY_CHANGE = (*LIMITS, *RATE, "trainer.patience", "trainer.valid_every", "trainer.save_every", "trainer.keep")
"""Options that a leg may have of its own."""


def changes(run: Run, saved: Config, config: Config) -> list[str]:
    """The options in which ``config`` differs from that ``saved`` with the run; empty where the run goes on as it is.

    Raises:
        UserError: the config is another run's; or a leg is meant, but ``extend`` is not set, or nothing is there to go
            on from.
    """
    changed = differences(saved, config)
    longer = all(change.partition(":")[0] in MAY_CHANGE for change in changed)
    if changed and not (longer and config.extend):
        advice = "to train it longer, add extend=true; otherwise " if longer and any(map(_is_limit, changed)) else ""
        more = f"; {len(changed) - 5} more: see its config.yaml" if changed[5:] else ""
        raise UserError(
            f"{run.folder} holds a run with another config ({'; '.join(changed[:5])}{more}): "
            f"{advice}choose another name=… or throw it away with overwrite=true"
        )
    if changed and run.finished and not run.checkpoint("last").exists():
        raise UserError(
            f"{run.checkpoint('last')} is gone, and with it the optimiser's state: init={run.folder} name=… starts a "
            "new run from the weights"
        )
    return changed


def begins_leg(changed: Sequence[str]) -> bool:
    """Whether limits and schedule begin anew; else the run goes on in its schedule, whenever it saves or validates."""
    return any(change.partition(":")[0] in (*LIMITS, *RATE) for change in changed)


def _is_limit(change: str) -> bool:
    return change.partition(":")[0] in LIMITS


def with_history(prints: Fingerprint, before: Fingerprint, state: TrainState, changed: list[str]) -> Fingerprint:
    """The fingerprint of a run that goes on, with what the one ``before`` says of the run's past.

    A run that goes on under other code or versions than it was begun with is no run of either: that is a leg, too.

    Args:
        state: where the training stands.
        changed: options of a further leg that begins there; empty if none does.
    """
    legs = before.get("legs", [])
    if state.step:
        changed = [*changed, *other_program(prints, before)]
    if changed:
        cut_short = [change for leg in legs if leg["step"] >= state.step for change in leg["changed"]]
        legs = [leg for leg in legs if leg["step"] < state.step]
        if changed := _at_once([*cut_short, *changed]):
            legs = [*legs, Leg(step=state.step, tokens=state.tokens, changed=changed)]
    if legs:
        prints["legs"] = legs
    if "initial" in before:
        prints.setdefault("initial", before["initial"])  # there already where no update has been made since
    return prints


def _at_once(changes: Sequence[str]) -> list[str]:
    """Changes between which no update was made: of each option what it was first and is last, where the two differ."""
    ends: dict[str, tuple[str, str]] = {}
    for key, values in (change.split(": ", 1) for change in changes):
        before, since = values.split(" -> ", 1)
        ends[key] = ends.get(key, (before, since))[0], since
    return [f"{key}: {before} -> {since}" for key, (before, since) in ends.items() if before != since]


def other_program(prints: Fingerprint, before: Fingerprint) -> list[str]:
    """In what the code and the versions of packages differ from those ``before``, each as ``what: before -> now``."""
    old, new = ({"code": each["code"][:12], **each["versions"]} for each in (before, prints))
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)]
