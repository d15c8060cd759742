"""A whole training session: prepare, build, train, test, summarise. Knows run folders; the loop is ``trainer``'s."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from seq2seq.config.schema import Config, DataConfig
from seq2seq.config.validation import check_compiled_on
from seq2seq.data.encoded import Corpus, Split, prepare
from seq2seq.data.lengths import unit_of
from seq2seq.data.revisions import pinned
from seq2seq.data.sides import doubts, sides_of
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import Evaluation, check_lengths, figures_by_length
from seq2seq.evaluation.languages import form_notices, read_language, word_notices
from seq2seq.evaluation.metrics import USUAL, tokenizer_notices
from seq2seq.evaluation.placeholders import print_placeholders
from seq2seq.models.build import build, parameters_by_part
from seq2seq.runs import checkpoint
from seq2seq.runs.curves import read_points
from seq2seq.runs.fingerprint import fingerprint
from seq2seq.runs.loading import save_split
from seq2seq.runs.records import Fingerprint, Sample, Summary
from seq2seq.runs.run import Run, run_of, with_choices_of
from seq2seq.system.devices import choose_device, choose_precision, prepare_process, use_threads
from seq2seq.system.files import os_errors_as_user_errors, write_json
from seq2seq.system.processes import ALONE, Group
from seq2seq.terminal import tables
from seq2seq.terminal.program import program
from seq2seq.training import further_tests, gains, initial, longer
from seq2seq.training.further_tests import Texts
from seq2seq.training.limits import Size, choose_limits, notices
from seq2seq.training.logging import RunLog
from seq2seq.training.trainer import Trainer

SUMMED = 1 << 20  # pairs whose lengths are summed at once
LONGEST_HPARAM = 24  # characters of a name in TensorBoard's table


def train(config: Config, group: Group = ALONE) -> Run:
    """Train, test and print the result; go on with an unfinished run, and only report a finished one.

    Args:
        group: the processes that train together; this one leads them.

    Returns:
        The finished run.

    Raises:
        UserError: among others, a run of this name with another config.
        Stopped: a signal came; the same call goes on.
    """
    run = run_of(config)
    run.refuse_other_content()
    goes_on, changed = run.begun and not config.overwrite, list[str]()
    if goes_on:
        saved = run.load_config()
        changed = longer.changes(run, saved, config)
        config = with_choices_of(saved, config)
    if goes_on and run.finished and not changed:
        summary = run.load_summary()
        with suppress(UserError), run.locked():
            _remove_spare(run)  # what a kill after the summary has left
        advice = "to train it longer: a larger trainer.max_… with extend=true; anew: overwrite=true"
        print(f"{run.folder} is finished; {advice}", file=sys.stderr)
        print_result(run, summary)
        return run
    if goes_on and run.metrics_file.exists():
        read_points(run.metrics_file)  # so that damage is told before anything is prepared
    with run.locked():
        trainer = _begin(config, run, goes_on, changed, group)
        trainer.train()
        summary = _finish(trainer)
    print_result(run, summary)
    return run


def _begin(config: Config, run: Run, goes_on: bool, changed: list[str], group: Group) -> Trainer:
    """Prepare the process, the corpus, the model and the run folder; ``changed``: options of a further leg."""
    prepare_process()
    device = choose_device(config.device, group.local)
    choose_precision(config.trainer.precision, device)  # an impossible one is refused before the corpus is prepared
    check_compiled_on(config.trainer, device.type)
    use_threads(config.trainer.threads)
    tokenizer_notices(config.data.language)  # what is not whole is refused before anything is prepared
    limits = (config.trainer.max_steps, config.trainer.max_tokens, config.trainer.max_hours)
    if config.data.is_streamed and config.trainer.needs_budget:
        raise UserError("a stream has no size to choose a limit by: give trainer.max_steps=… or trainer.max_tokens=…")
    if config.data.is_streamed and not any(limits):
        raise UserError("a stream cannot tell how much of trainer.max_epochs is done: give trainer.max_steps=… as well")
    config, taken = initial.with_subwords(config, run if goes_on else None)
    corpus = prepare(config.data, taken, config.trainer.threads)
    config = _with_commit(config, corpus)
    config = _with_languages(config, corpus, goes_on)
    texts = further_tests.scored_texts(config, corpus)
    _say_doubts(config, corpus, texts)
    print_corpus(config, corpus)
    for warning in () if goes_on else further_tests.overlaps(config, texts):
        print(warning, file=sys.stderr)
    torch.manual_seed(config.seed)  # before the weights are made, so that the seed decides them too
    model = build(config.model, *corpus.subwords.sizes)
    begins = not (goes_on and run.checkpoint("last").exists())
    started = initial.set_weights(config, model) if begins else None
    print_parameters(config.model.name, parameters_by_part(model), initial.freeze(config.trainer.freeze, model))
    config = _with_limits(config, corpus, goes_on)
    run.text_of(config)  # refused, where it is too large, while the folder is as it was
    prints = _prepare_folder(run, corpus, goes_on, texts)
    weights = checkpoint.weights_of(model) if started else {}  # before the trainer may share them out
    if started:
        prints["initial"] = started
    trainer = Trainer(config, corpus, model, run, device, group)
    if goes_on:
        prints = longer.with_history(prints, run.load_fingerprint(), trainer.state, changed)
    if changed:
        if longer.begins_leg(changed) or trainer.at_the_end:
            trainer.begin_leg()
        run.summary_file.unlink(missing_ok=True)  # before the config has the new limits, so that a kill is made good
        run.remove_measurements()  # of weights that will no longer be the run's
        print(f"a further leg of {run.folder}: {'; '.join(changed)}", file=sys.stderr)
    _describe(run, config, corpus, prints, texts)
    if started:
        checkpoint.save_weights(run.checkpoint(initial.NAME), weights, {})
    if trainer.state.step:
        print(f"going on with {run.folder} at step {trainer.state.step}", file=sys.stderr)
    or_make = "  (or: make tensorboard)" if Path("Makefile").exists() else ""
    print(f"watch it: tensorboard --logdir {config.outputs}{or_make}", file=sys.stderr)
    return trainer


def _with_commit(config: Config, corpus: Corpus) -> Config:
    """The config with the commit that a repository of the hub was read at, so that the run goes on with the same."""
    if corpus.commit is None:
        return config
    data, hub = config.data, config.data.hub
    return replace(config, data=replace(data, hub=replace(hub, revision=pinned(hub.revision, corpus.commit))))


def _with_languages(config: Config, corpus: Corpus, goes_on: bool) -> Config:
    """The config with the languages that are read off the text, where it gives none; says what was read."""
    valid, data = corpus.splits["valid"], config.data
    of_init = (None, None) if goes_on else initial.codes(config)  # which may be gone, but the run has kept them
    src, told_of_src = read_language(data.codes[0], valid.lines(0), "data.src", of_init[0])
    tgt, told_of_tgt = read_language(data.codes[1], valid.lines(1), "data.tgt", of_init[1])
    for notice in (told_of_src if src else "", told_of_tgt):  # an unknown source changes nothing
        if notice and not goes_on:
            print(notice, file=sys.stderr)
    return replace(config, data=replace(data, src=src, tgt=tgt))


def _say_doubts(config: Config, corpus: Corpus, texts: Texts) -> None:
    """Warn of text that does not fit what the config says of it."""
    for doubt in doubts(config.data, [corpus.splits["valid"].lines(side) for side in (0, 1)]):
        print(f"warning: {doubt}", file=sys.stderr)
    for notice in tokenizer_notices(config.data.language):
        print(notice, file=sys.stderr)
    test = corpus.splits["test"]
    for split, (src, references) in {**texts, "test": (test.lines(0), test.lines(1))}.items():
        told = check_lengths(corpus.subwords, src, references, config.decode, USUAL, f"{split} ")
        told += word_notices(config.data.language, references, "data.tgt") if split == "test" else ()
        for notice in (*told, *form_notices({f"{split} references": references})):
            print(notice, file=sys.stderr)
    if config.subwords_of is not None and (unknown := initial.unknown_notice(corpus)):
        print(unknown, file=sys.stderr)


def _with_limits(config: Config, corpus: Corpus, goes_on: bool) -> Config:
    """The config with the limits that are chosen by the size of the corpus; says what was chosen."""
    given = config.trainer
    positions, tokens = _sums(corpus.splits["train"], config.data.weights)
    batches = -(-round(positions) // given.batch_tokens)  # whatever seed and device are
    size = Size(max(round(tokens), 1), max(batches, 1) / given.accumulate, not config.data.is_streamed)
    chosen = choose_limits(given, size)
    for notice in [] if goes_on else notices(given, chosen, size):
        print(notice, file=sys.stderr)
    return replace(config, trainer=chosen)


def _sums(split: Split, weights: Sequence[float]) -> tuple[float, float]:
    """The positions of the longer side and the target tokens of an epoch, summed over pieces of a large split."""
    positions = tokens = 0.0
    bounds = np.cumsum(split.files) if split.files else np.zeros(0, int)
    for start in range(0, len(split), SUMMED):
        rows = np.arange(start, min(start + SUMMED, len(split)))
        src, tgt = (side.lengths_of(rows) for side in (split.src, split.tgt))
        times = np.asarray(weights)[np.searchsorted(bounds, rows, side="right")] if split.files else np.ones(1)
        positions += float((np.maximum(src, tgt) * times).sum())
        tokens += float((tgt * times).sum())
    return positions, tokens


def _prepare_folder(run: Run, corpus: Corpus, goes_on: bool, texts: Texts) -> Fingerprint:
    """Empty the folder, or check that what goes on in it was begun with this text."""
    prints = fingerprint(corpus)
    if goes_on:
        _check_data(run, prints)
        further_tests.check_texts(run, texts)
    with os_errors_as_user_errors(run.folder):
        if not goes_on:  # only now: nothing can be wrong with the new run any more
            run.remove(but_config=True)
    return prints


def _describe(run: Run, config: Config, corpus: Corpus, prints: Fingerprint, texts: Texts) -> None:
    """Write what the run is.

    The config, which says that the folder is a run, comes first in a new one: what a kill leaves then can be begun
    anew. It comes last in one that goes on: a kill before it leaves the options that the further leg is known by.
    """
    if not run.begun:
        run.save_config(config)
    corpus.subwords.save(run.subwords)
    write_json(run.fingerprint_file, prints)
    further_tests.keep_texts(run, texts)
    run.save_config(config)


def _check_data(run: Run, prints: Fingerprint) -> None:
    """A training that goes on with other text or other subwords would end as a mixture that nobody can repeat."""
    before = run.load_fingerprint()
    what: Literal["data", "subwords", "references"]
    for what in ("data", "subwords", "references"):
        if before.get(what) != prints[what]:
            raise UserError(
                f"{run.folder} was begun with other {what}: put them back, or start it anew with overwrite=true"
            )


def _finish(trainer: Trainer) -> Summary:
    """Test the chosen weights and write the result down; the summary comes last, since it marks a finished run."""
    config, run, state = trainer.config, trainer.run, trainer.state
    run.refuse_removed()
    name, step = _choose_weights(trainer)
    test = trainer.corpus.splits["test"]
    src, references = test.lines(0), test.lines(1)
    save_split(run, "test", src, references)
    evaluation = further_tests.run_test(trainer, (src, references), "test", "testing", step)
    summary = Summary(
        checkpoint=name,
        steps=state.step,
        best_step=state.best_step,
        tokens=state.tokens,
        seconds=state.seconds,
        tokens_per_second=state.tokens / max(state.seconds, 1e-9),
        parameters=parameters_by_part(trainer.model),
        test=evaluation.scores,
        samples=sample_translations(src, references, evaluation),
    )
    if config.data.tests:
        summary["tests"] = further_tests.test_further(trainer, step)
    if config.init and not config.init_skip:
        summary["gains"] = gains.measure(trainer, {"test": summary["test"], **summary.get("tests", {})})
    log, figures = RunLog(run, state.step, config), evaluation.curves("test")
    log.scalars(state.step, figures)
    foremost = dict(sorted(figures.items(), key=lambda figure: figure[0] != "test/bleu"))  # HParams shows the first
    log.hyperparameters(hyperparameters(config, summary["parameters"]["total"]), foremost)
    log.close()
    run.save_summary(summary)
    _remove_spare(run)
    return summary


def _remove_spare(run: Run) -> None:
    """Remove the weights that a finished run does not need: those to be averaged, and what ``last`` came after."""
    for path in (run.checkpoint(checkpoint.PREVIOUS), *run.checkpoint("last").parent.glob("recent-*.safetensors")):
        path.unlink(missing_ok=True)


def _choose_weights(trainer: Trainer) -> tuple[str, int]:
    """Load the weights to be tested, averaged or the best; returns the name of their checkpoint, and its update."""
    run, state = trainer.run, trainer.state
    name = "averaged" if trainer.options.average and state.recent else "best"
    if name == "averaged":
        # Those of before an earlier test are gone; where none came after it, its average stands.
        recent = [path for step in state.recent if (path := run.checkpoint(f"recent-{step}")).exists()]
        if recent:
            checkpoint.save_weights(run.checkpoint(name), checkpoint.average(recent), asdict(state))
    step: int = checkpoint.load_weights(run.checkpoint(name), trainer.eval_model)["step"]
    return name, step


def hyperparameters(config: Config, parameters: int) -> dict[str, Any]:
    """The columns by which TensorBoard's HParams page compares runs."""
    parts = {"encoder": asdict(config.model.encoder), "decoder": asdict(config.model.decoder)}
    return {
        "model": tables.shortened(config.model.name, LONGEST_HPARAM),
        "corpus": tables.shortened(config.data.name, LONGEST_HPARAM),
        "seed": config.seed,
        "lr": config.trainer.optimizer.lr,
        "batch_tokens": config.trainer.batch_tokens,
        "dropout": config.model.dropout,
        "label_smoothing": config.trainer.label_smoothing,
        "parameters": parameters,
        "embedding": config.model.embedding,
        **{
            f"{part}_{key}": options[key]
            for part, options in parts.items()
            for key in ("width", "layers")
            if key in options
        },
    }


def sample_translations(src: Sequence[str], references: Sequence[str], evaluation: Evaluation) -> list[Sample]:
    """A short, a middling and a long test sentence with their translations."""
    lengths = unit_of(src).counts(src)
    by_length = sorted(range(len(src)), key=lambda n: lengths[n])
    chosen = [by_length[int(len(src) * share)] for share in (0.1, 0.5, 0.9)]
    return [Sample(src=src[n], reference=references[n], translation=evaluation.translations[n][0].text) for n in chosen]


# --------------------------------------------------------------------------------------------------------- tables


def print_corpus(config: Config, corpus: Corpus) -> None:
    """Pairs and tokens of each split, the dropped pairs by reason, and a warning where test pairs occur in train."""
    codes = config.data.codes
    title = f"{config.data.name}: {' → '.join(code or '?' for code in codes)}" if any(codes) else config.data.name
    counts = [(split, corpus.counts[split]) for split in ("train", "valid", "test")]
    rows = [(split, f"{count['kept']:,}", f"{count['target_tokens']:,}") for split, count in counts]
    tables.print_table(title, ("split", "pairs", "target tokens"), rows)
    if sides := sides_of(config.data):
        columns = ("side", "language", "read from")
        tables.print_table("which text is which language", columns, sides, left=columns)
    train = corpus.counts["train"]
    if config.data.is_streamed:
        tables.say("train is streamed: these are its first pairs, which subwords are learned from")
    if config.data.join is not None:
        tables.say(_told_of_joins(config.data))
    if files := train.get("files"):
        weighted = enumerate(zip(files, config.data.weights, strict=True), start=1)
        weights = [(f"{number}", f"{pairs:,}", f"{weight:g}") for number, (pairs, weight) in weighted]
        tables.print_table("training files", ("file", "pairs", "times an epoch"), weights)
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in train["dropped"].items() if count) or "none"
    size = corpus.subwords.sizes[1]
    tables.say(f"training pairs read {train['read']:,}, dropped: {dropped}; target vocabulary {size:,} tokens")
    if train["overlap"]:
        tables.say(
            f"warning: {train['test_in_train']:,} test pairs and {train['valid_in_train']:,} validation pairs occur "
            f"in train ({train['overlap']:,} training pairs): their scores flatter the model"
        )


def _told_of_joins(data: DataConfig) -> str:
    """What is joined, which the counts of the training split do not show."""
    what = "training pairs anew in each epoch, and " if data.joins_training else ""
    return f"neighbouring pairs are joined, to at most {data.join}: {what}those of validation and test once and for all"


def print_parameters(name: str, counts: dict[str, int], frozen: int = 0) -> None:
    """The number of parameters of each part of the model, and how many of all are ``frozen``."""
    rows: list[tuple[str, str] | None] = [(part, f"{count:,}") for part, count in counts.items()]
    tables.print_table(f"parameters of {name}", ("part", "parameters"), [*rows[:-1], None, rows[-1]])
    if frozen:
        tables.say(f"frozen: {frozen:,} of them, trained: {counts['total'] - frozen:,}")


def print_result(run: Run, summary: Summary) -> None:
    """The scores of a finished run, three translations, and what to type next."""
    test, folder = summary["test"], run.folder
    figures = {
        "weights": summary["checkpoint"],
        "loss (nats a token)": f"{test['nll']:.3f}",
        "perplexity": f"{test['ppl']:.2f}",
        "BLEU": f"{test['bleu']:.2f}",
        **figures_by_length(test),
        "chrF": f"{test['chrf']:.2f}",
        "training time": tables.duration(summary["seconds"]),
        "target tokens": f"{summary['tokens']:,}",
        "tokens/s in training": f"{summary['tokens_per_second']:,.0f}",
    }
    tables.print_figures(f"test of {folder}", figures)
    further_tests.print_tests(summary)
    gains.print_gains(summary)
    print_placeholders(test)
    for metric in USUAL:
        tables.say(f"{metric.label} signature  {metric.signature_of(test)}")
    for sample in summary["samples"]:
        texts = {"source": sample["src"], "translation": sample["translation"], "reference": sample["reference"]}
        tables.print_texts(texts)
    name = program()
    tables.say(f"\nnext:  {name} translate {folder}\n       {name} evaluate {folder} decode.beam=1")
    if Path("Makefile").exists():
        tables.say("       make tensorboard")
