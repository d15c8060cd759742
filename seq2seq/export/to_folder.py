"""From a run to a portable folder: a run folder of its own with a model card, and without what is the user's alone."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from seq2seq.config.overrides import override
from seq2seq.config.schema import Config
from seq2seq.errors import UserError
from seq2seq.export.model_card import model_card
from seq2seq.export.options import Request
from seq2seq.export.samples import Sample, sample_of
from seq2seq.models.build import parameters_by_part
from seq2seq.runs import checkpoint
from seq2seq.runs import loading as trained
from seq2seq.runs.records import Summary
from seq2seq.runs.run import Run
from seq2seq.system.files import new_folder, write_atomically, write_json
from seq2seq.terminal.tables import say

CARD = "README.md"
WEIGHTS = "best"  # the name of the only checkpoint
SENTENCES = 20  # that are translated to compare
OF_THE_USER = ("models", "text")  # entries of scores that may hold paths


def export(request: Request) -> None:
    """Write the folder, translate with it, and print how to use it. Raises ``UserError`` as ``write`` does."""
    write(request)
    place = shlex.quote(str(request.out))
    say(f"{request.out}: a run folder of its own; what is known of the model stands in its {CARD}")
    say(f"To translate: seq2seq translate {place}")
    if not request.license:
        print(f"no license is given: name it in {request.out / CARD}, or export with --license", file=sys.stderr)


def write(request: Request) -> None:
    """Write the folder and translate with it.

    Raises:
        UserError: damaged weights, a place that cannot be written, or translations that are not the run's; nothing is
            left behind.
    """
    run, config = request.run, portable(request.config)
    loaded = trained.load([(run, request.checkpoint)], override(config, ["device=cpu", "trainer.precision=fp32"]))
    [model], subwords = loaded.translator.models, loaded.translator.subwords
    summary = _summary_of(request)
    prints = run.load_fingerprint() if run.fingerprint_file.exists() else None
    with new_folder(request.out) as folder:
        written = Run(folder)
        written.save_config(config)
        subwords.save(written.subwords)
        checkpoint.save_weights(written.checkpoint(WEIGHTS), checkpoint.weights_of(model), {})
        if summary:
            written.save_summary(summary)
        if prints:
            write_json(written.fingerprint_file, prints)
        parameters = parameters_by_part(model)
        card = model_card(config, parameters, subwords.sizes, summary, prints, request.license)
        write_atomically(folder / CARD, card)
        _compare(loaded, trained.load([(written, WEIGHTS)], loaded.config), sample_of(run, subwords, "test", SENTENCES))


def portable(config: Config) -> Config:
    """The config without paths, and with the device and the threads left to the next machine."""
    kept, own = override(config, []), Config()
    data = replace(kept.data, subwords=replace(kept.data.subwords, from_run=None))
    return replace(
        kept, data=data, init=None, init_skip=[], name=None, outputs=own.outputs, overwrite=False, extend=False
    )


def _summary_of(request: Request) -> Summary | None:
    """The result of the run without sentences and paths; None unless it is of the exported weights."""
    if not request.run.finished:
        return None
    summary = request.run.load_summary()
    if summary["checkpoint"] != request.checkpoint:
        print(f"the scores of {request.run.folder} are of {summary['checkpoint']}: left out", file=sys.stderr)
        return None
    cleaned: dict[str, Any] = {**summary, "checkpoint": WEIGHTS, "samples": [], "test": _cleaned(summary["test"])}
    if "tests" in summary:
        cleaned["tests"] = {name: _cleaned(scores) for name, scores in summary["tests"].items()}
    return cast(Summary, cleaned)


def _cleaned(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scores.items() if key not in OF_THE_USER}


def _compare(ours: trained.TrainedModel, theirs: trained.TrainedModel, sample: Sample) -> None:
    """Translate with both. Raises ``UserError`` unless texts and scores are equal."""
    print(f"comparing {len(sample.src)} sentences {sample.what}", file=sys.stderr)
    found = [[(each.text, each.score) for each in model.translate(sample.src)] for model in (ours, theirs)]
    different = sum(one != other for one, other in zip(*found, strict=True))
    if different:
        raise UserError(
            f"nothing was exported, for {different} of {len(sample.src)} translations of the written folder are not "
            f"the run's: please report this with {ours.run.config_file}"
        )
