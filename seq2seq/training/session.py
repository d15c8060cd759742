"""A whole training session: prepare, build, train, test, summarise. Knows run folders; the loop is ``trainer``'s."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from seq2seq.config.schema import Config
from seq2seq.data import files
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.decoding.translator import Translation
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import Evaluation, evaluate
from seq2seq.evaluation.metrics import TER, USUAL
from seq2seq.models.build import build, parameters_by_part
from seq2seq.runs import checkpoint
from seq2seq.runs.fingerprint import fingerprint
from seq2seq.runs.loading import TrainedModel, saved_split, split_of_source, unzip
from seq2seq.runs.records import Fingerprint, Sample, Summary
from seq2seq.runs.run import Run, differences, run_of
from seq2seq.system.devices import choose_device, choose_precision, prepare_process
from seq2seq.system.files import os_errors_as_user_errors, write_atomically, write_json
from seq2seq.terminal import tables
from seq2seq.training.logging import Display, RunLog
from seq2seq.training.trainer import Trainer


def train(config: Config) -> Run:
    """Train, test and print the result; go on with an unfinished run, and only report a finished one.

    Returns:
        The finished run.

    Raises:
        UserError: among others, a run of this name with another config.
        Stopped: a signal came; the same call goes on.
    """
    run = run_of(config)
    goes_on = run.config_file.exists() and not config.overwrite
    if goes_on:
        _check_config(run, config)
    if goes_on and run.finished:
        print(f"{run.folder} is finished; to train it anew: overwrite=true", file=sys.stderr)
        tables.print_result(run, run.load_summary())
        return run
    with run.locked():
        trainer = _begin(config, run, goes_on)
        trainer.train()
        summary = _finish(trainer)
    tables.print_result(run, summary)
    return run


def _begin(config: Config, run: Run, goes_on: bool) -> Trainer:
    """Prepare the process, the corpus, the model and the run folder."""
    prepare_process()
    device = choose_device(config.device)
    choose_precision(config.trainer.precision, device)  # an impossible one is refused before the corpus is prepared
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    corpus = prepare(config.data)
    torch.manual_seed(config.seed)  # before the weights are made, so that the seed decides them too
    model = build(config.model, *corpus.subwords.sizes)
    tables.print_corpus(config, corpus)
    tables.print_parameters(config.model.name, parameters_by_part(model))
    _prepare_folder(config, run, corpus, goes_on)
    trainer = Trainer(config, corpus, model, run, device)
    if trainer.state.step:
        print(f"going on with {run.folder} at step {trainer.state.step}", file=sys.stderr)
    print(f"watch it: tensorboard --logdir {config.outputs}  (or: make tensorboard)", file=sys.stderr)
    return trainer


def _prepare_folder(config: Config, run: Run, corpus: Corpus, goes_on: bool) -> None:
    """Make the folder, empty unless an unfinished run goes on, and write what the run is."""
    prints = fingerprint(corpus)
    if goes_on:
        _check_data(run, prints)
    with os_errors_as_user_errors(run.folder):
        if not goes_on and run.folder.exists():  # only now: nothing can be wrong with the new run any more
            for folder in (run.checkpoint("last").parent, run.tensorboard):  # first, in case the removal is cut short
                shutil.rmtree(folder, ignore_errors=True)
            if run.config_file.exists():
                shutil.rmtree(run.folder)
        run.folder.mkdir(parents=True, exist_ok=True)
    corpus.subwords.save(run.subwords)
    write_json(run.fingerprint_file, prints)
    run.save_config(config)


def _check_config(run: Run, config: Config) -> None:
    changed = differences(run.load_config(), config)
    if changed:
        raise UserError(
            f"{run.folder} holds a run with another config ({'; '.join(changed[:5])}{'; …' if changed[5:] else ''}): "
            "choose another name=… or throw it away with overwrite=true"
        )


def _check_data(run: Run, prints: Fingerprint) -> None:
    """A training that goes on with other text or other subwords would end as a mixture that nobody can repeat."""
    before = run.load_fingerprint()
    same = {
        "data": before.get("data") == prints["data"],
        "subwords": before.get("subwords") == prints["subwords"],
        "references": before.get("references") == prints["references"],
    }
    for what, agrees in same.items():
        if not agrees:
            raise UserError(
                f"{run.folder} was begun with other {what}: put them back, or start it anew with overwrite=true"
            )


def _finish(trainer: Trainer) -> Summary:
    """Test the chosen weights and write the result down; the summary comes last, since it marks a finished run."""
    config, run, state = trainer.config, trainer.run, trainer.state
    name = _choose_weights(trainer)
    test = trainer.corpus.splits["test"]
    src, references = test.lines(0), test.lines(1)
    with progress("testing", len(src)) as done:
        evaluation = evaluate(
            trainer.translator, src, references, config.data.tgt, config.decode, by_length=True, done=done
        )
    evaluation.scores["decode"] = asdict(config.decode)
    folder = run.evaluation("test")  # with the text, so that the run can be scored again anywhere
    write_atomically(folder / "src.txt", "".join(f"{line}\n" for line in src))
    write_atomically(folder / "ref.txt", "".join(f"{line}\n" for line in references))
    evaluation.save(folder)
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
    log, figures = RunLog(run, state.step), evaluation.curves("test")
    log.scalars(state.step, figures)
    log.hyperparameters(hyperparameters(config, summary["parameters"]["total"]), figures)
    log.close()
    run.save_summary(summary)
    for step in state.recent:
        run.checkpoint(f"recent-{step}").unlink(missing_ok=True)
    return summary


def _choose_weights(trainer: Trainer) -> str:
    """Load the weights to be tested, averaged or the best; returns the name of their checkpoint."""
    run, state = trainer.run, trainer.state
    name = "best"
    if trainer.options.average and state.recent:
        name = "averaged"
        recent = [run.checkpoint(f"recent-{step}") for step in state.recent]
        if all(path.exists() for path in recent):  # otherwise they were averaged before the test was cut short
            checkpoint.save_weights(run.checkpoint(name), checkpoint.average(recent), asdict(state))
    checkpoint.load_weights(run.checkpoint(name), trainer.eval_model)
    return name


def hyperparameters(config: Config, parameters: int) -> dict[str, Any]:
    """The columns by which TensorBoard's HParams page compares runs."""
    return {
        "model": config.model.name,
        "corpus": config.data.name,
        "seed": config.seed,
        "lr": config.trainer.optimizer.lr,
        "batch_tokens": config.trainer.batch_tokens,
        "dropout": config.model.dropout,
        "label_smoothing": config.trainer.label_smoothing,
        "parameters": parameters,
    }


def sample_translations(src: Sequence[str], references: Sequence[str], evaluation: Evaluation) -> list[Sample]:
    """A short, a middling and a long test sentence with their translations."""
    by_length = sorted(range(len(src)), key=lambda n: len(src[n].split()))
    chosen = [by_length[int(len(src) * share)] for share in (0.1, 0.5, 0.9)]
    return [Sample(src=src[n], reference=references[n], translation=evaluation.translations[n][0].text) for n in chosen]


# ------------------------------------------------------------------------------------------------------ evaluate


def evaluate_run(
    loaded: TrainedModel, src_file: str | None, ref_file: str | None, ter: bool, as_json: bool, out: str | None
) -> None:
    """Score a split of the run's corpus, or new files; write scores and hypotheses; print a table or JSON."""
    config = loaded.config
    if src_file and ref_file:
        name = Path(src_file).name
        src, references = unzip(files.text_files(src_file, ref_file).pairs())
    else:
        name = config.data.split
        asked = config.data.split_options(name) != loaded.run.load_config().data.split_options(name)  # for other files
        saved = None if asked else saved_split(loaded.run, name)
        src, references = saved or split_of_source(config, name)
    metrics = (*USUAL, TER) if ter else USUAL
    with progress("evaluating", len(src)) as done:
        evaluation = evaluate(
            loaded.translator, src, references, config.data.tgt, config.decode, metrics, by_length=True, done=done
        )
    models = "ensemble" if len(loaded.models) > 1 else loaded.checkpoint
    folder = Path(out) if out else loaded.run.evaluation(f"{name}-{models}")
    evaluation.scores["models"] = loaded.models
    evaluation.scores["decode"] = asdict(config.decode)
    evaluation.save(folder)
    tables.print_evaluation(evaluation.scores, folder, as_json)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; yields the function that is told how many are done. Without a total it only counts."""
    finished = 0
    with Display() as display:
        display.doing(what)

        def done(count: int) -> None:
            nonlocal finished
            finished += count
            display.update(finished / total if total else 0.0, f"{finished}/{total or '?'}")

        yield done


# ----------------------------------------------------------------------------------------------------- translate

CHUNK = 2_000  # lines translated at once from a file or a pipe


def translate(loaded: TrainedModel, source: str | None, out: str | None, attention: bool) -> None:
    """Translate a file or stdin to a file or stdout, or line by line with a person at the terminal."""
    if source is None and sys.stdin.isatty():
        _converse(loaded, attention)
        return
    total, lines = _opened(source) if source else (None, stdin_lines())
    options = loaded.config.decode
    texts: list[str] = []
    number = 0
    with progress("translating", total) as done:
        while chunk := list(itertools.islice(lines, CHUNK)):
            found = loaded.translator.translate(chunk, options, attention, done)
            written = [render(number + n, each, options.nbest, attention) for n, each in enumerate(found, start=1)]
            number += len(chunk)
            if out is None:
                sys.stdout.write("".join(written))
                sys.stdout.flush()
            else:
                texts += written
    if out is not None:
        write_atomically(Path(out), "".join(texts))


def _opened(source: str) -> tuple[int, Iterator[str]]:
    """The number of lines of a file, and the lines; an empty file has none."""
    path = Path(source)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{source}: not a regular file: pipe it into standard input instead")
    if path.is_file() and path.stat().st_size == 0:
        return 0, iter(())
    return files.measure(source)[0], files.lines(source)


def stdin_lines() -> Iterator[str]:
    """Lines of standard input, split at the line feed alone. Raises ``UserError`` for one that is not UTF-8."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise UserError(f"standard input:{number}: not UTF-8: convert the text to UTF-8") from error


def render(number: int, found: Sequence[Translation], nbest: int, attention: bool) -> str:
    """The output for one line: its translation, or with n-best ``number<TAB>score<TAB>translation`` for each."""
    if nbest > 1:
        return "".join(f"{number}\t{each.score:.4f}\t{each.text}\n" for each in found)
    return f"{found[0].text}\n" + (tables.alignment(found[0]) if attention else "")


def _converse(loaded: TrainedModel, attention: bool) -> None:
    print("type a sentence; an empty line ends", file=sys.stderr)
    number = 0
    while True:
        try:
            print("> ", end="", file=sys.stderr, flush=True)
            line = input()
        except EOFError:
            return
        if not line.strip():
            return
        number += 1
        options = loaded.config.decode
        [found] = loaded.translator.translate([line], options, attention)
        sys.stdout.write(render(number, found, options.nbest, attention))
