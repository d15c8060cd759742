"""Trained weights and subwords as the beginning of a training. Knows run folders and the names of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from seq2seq.config.schema import LEARN, UNK, Config
from seq2seq.data.encoded import Corpus
from seq2seq.data.subwords import Subwords
from seq2seq.errors import UserError, nearest
from seq2seq.runs import checkpoint
from seq2seq.runs.run import ONNX, Run, find, with_subwords_of

NAME = "initial"  # of the checkpoint that keeps the weights from which a run began
MANY_UNKNOWN = 0.01  # share of the tokens


def with_subwords(config: Config, run: Run | None) -> tuple[Config, Subwords | None]:
    """The subwords that are not learned from the corpus, and the config that says how they segment.

    Args:
        run: the run that goes on, whose own copy is taken.

    Returns:
        None for subwords that are learned from the corpus.

    Raises:
        UserError: the run that has them is not there, or they do not fit the options of the model.
    """
    if config.subwords_of is None:
        return config, None
    source = run or find(Path(config.subwords_of))[0]
    config = with_subwords_of(source.load_config(), config)
    if config.model.tie == "all" and not config.data.subwords.joint:
        raise UserError(f"model.tie=all needs one vocabulary, but {source.folder} has two: set model.tie=output")
    return config, Subwords.load(source.subwords)


def codes(config: Config) -> tuple[str | None, str | None]:
    """The languages of the run that ``init`` names, for a text that gives neither of its own; else None."""
    if config.init is None or any(config.data.codes):
        return None, None
    return find(Path(config.init))[0].load_config().data.codes


def unknown_notice(corpus: Corpus) -> str | None:
    """A line where the subwords that were taken do not know the text of the validation split."""
    ids = [corpus.splits["valid"].src.values, corpus.splits["valid"].tgt.values]
    shares = [float(np.mean(side == UNK)) for side in ids]
    if max(shares) <= MANY_UNKNOWN:
        return None
    side = "source" if shares[0] >= shares[1] else "target"
    return (
        f"warning: {max(shares):.1%} of the {side}'s tokens are unknown to the subwords that were taken along: learn "
        f"them anew, data.subwords.from={LEARN}, with init_skip=['*embedding*','output.*']"
    )


def set_weights(config: Config, model: nn.Module) -> str | None:
    """Put the weights of ``init`` into the model, except those that ``init_skip`` names; returns their checksum.

    Raises:
        UserError: names or shapes that differ, each named, or a pattern that fits no parameter.
    """
    if config.init is None:
        _refuse_idle("init_skip", config.init_skip, [])
        return None
    run, name = find(Path(config.init))
    path = run.checkpoint(name)
    if name == ONNX:
        raise UserError(f"{config.init} holds graphs, whose weights cannot be trained: give the run that was exported")
    given, own = checkpoint.translating(checkpoint.read(path)[0]), checkpoint.weights_of(model)
    _refuse_idle("init_skip", config.init_skip, [*own, *given])
    skipped = set(matching(config.init_skip, [*own, *given]))
    wrong = [
        f"{key} {_shape(given, key)} there, {_shape(own, key)} here"
        for key in sorted(own.keys() | given.keys())
        if key not in skipped and _shape(given, key) != _shape(own, key)
    ]
    if wrong:
        raise UserError(
            f"{path} does not fit the model: {'; '.join(wrong[:3])}{f'; {len(wrong) - 3} more' if wrong[3:] else ''}: "
            "leave experiment=… and model=… out to take its model, or name what is to begin at random in init_skip=[…]"
        )
    taken = {key: tensor for key, tensor in given.items() if key not in skipped}
    if not taken:
        raise UserError(f"init_skip={config.init_skip} leaves nothing of {path}: leave init out")
    checkpoint.set_weights(model, {**own, **taken}, path)
    return checkpoint.checksum(taken, "")


def freeze(patterns: Sequence[str], model: nn.Module) -> int:
    """Take the parameters that fit one of the patterns out of the training; returns how many numbers they hold.

    Raises:
        UserError: a pattern that fits no parameter, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    _refuse_idle("trainer.freeze", patterns, parameters)
    names = matching(patterns, parameters)
    if len(names) == len(parameters):
        raise UserError(f"trainer.freeze={list(patterns)} leaves nothing to train: name fewer parameters")
    for name in names:
        parameters[name].requires_grad_(False)
    return sum(parameters[name].numel() for name in names)


def matching(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The names that fit one of the patterns of a shell, in which ``*`` stands for dots too."""
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _refuse_idle(key: str, patterns: Sequence[str], names: Iterable[str]) -> None:
    known = list(names)
    for pattern in patterns:
        if not matching([pattern], known):
            hint = nearest(pattern, known) or (f", such as {known[0]}" if known else "")
            raise UserError(f"{key}: no parameter fits {pattern}{hint}" + ("" if known else " (init is not set)"))


def _shape(weights: dict[str, Tensor], key: str) -> str:
    return str(tuple(weights[key].shape)) if key in weights else "not"
