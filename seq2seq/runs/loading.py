"""Trained runs, loaded: from run folders to models that translate. Knows checkpoints; computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from seq2seq.config.schema import Config
from seq2seq.data import files
from seq2seq.data.sources import open_source
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.run import Run
from seq2seq.system.devices import autocast, choose_device, choose_precision, prepare_process


@dataclass(frozen=True)
class Loaded:
    """Trained models that translate together, with the config and the run folder of the first."""

    translator: Translator
    config: Config
    run: Run
    checkpoint: str
    models: list[str]  # the checkpoints' files


def load(runs: Sequence[tuple[Run, str]], config: Config) -> Loaded:
    """Load an ensemble of one or more checkpoints, onto whatever device there is.

    Raises:
        UserError: damaged or foreign weights, or runs that do not share their subwords.
    """
    prepare_process()
    device = choose_device(config.device)
    models: list[Seq2Seq] = []
    subwords = Subwords.load(runs[0][0].subwords)
    for run, name in runs:
        if Subwords.load(run.subwords).models != subwords.models:
            raise UserError(f"{run.folder}: other subwords than {runs[0][0].folder}: an ensemble must share them")
        model = build(run.load_config().model, *subwords.sizes)
        checkpoint.load_weights(run.checkpoint(name), model)
        models.append(model.to(device).eval())
    precision = autocast(device, choose_precision(config.trainer.precision, device))
    torch.manual_seed(config.seed)  # of sampling
    names = [str(run.checkpoint(name)) for run, name in runs]
    return Loaded(Translator(models, subwords, device, precision), config, *runs[0], names)


def split_of_source(config: Config, split: str) -> tuple[list[str], list[str]]:
    """The text of a split, from where the corpus comes from."""
    return unzip(open_source(config.data).pairs(split))


def saved_split(run: Run, split: str) -> tuple[list[str], list[str]] | None:
    """The text of a split that the run has kept beside its scores."""
    src, ref = (run.evaluation(split) / f"{side}.txt" for side in ("src", "ref"))
    if not (src.exists() and ref.exists()):
        return None
    return unzip(files.text_files(str(src), str(ref)).pairs())


def unzip(pairs: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Pairs as two lists."""
    both = list(pairs)
    return [src for src, _ in both], [tgt for _, tgt in both]
