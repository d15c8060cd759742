"""Validation: scores, samples, and the checkpoints that are kept for them. Knows no optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace

from seq2seq.config.schema import Config
from seq2seq.data.encoded import Split
from seq2seq.decoding.translator import Translator
from seq2seq.evaluation.evaluate import Evaluation, evaluating
from seq2seq.evaluation.metrics import METRICS
from seq2seq.runs import checkpoint
from seq2seq.runs.averaging import best_first
from seq2seq.runs.run import KEPT, Run
from seq2seq.system.files import write_atomically
from seq2seq.training.following import evaluate_together
from seq2seq.training.logging import RunLog
from seq2seq.training.progress import Kept, TrainState, progress

VALIDATIONS = 20  # in the whole training, unless trainer.valid_every says otherwise
PICTURES = 5  # validations of the whole training at which attention is drawn


def validation_due(state: TrainState, config: Config, epoch: float) -> bool:
    """Whether the weights of this step are to be validated, and have not been yet."""
    if state.step == state.validated:
        return False
    done = progress(state, config.trainer, epoch)
    if config.trainer.valid_every:
        return state.step >= state.validated + config.trainer.valid_every or done >= 1
    return int(done * VALIDATIONS) > int(state.validated_at * VALIDATIONS)


class Validation:
    """Scores the validation split and keeps the checkpoints that follow from the scores."""

    def __init__(self, config: Config, run: Run, split: Split, translator: Translator) -> None:
        self.config, self.options, self.run = config, config.trainer, run
        self.translator = translator
        self.src, self.references = split.lines(0), split.lines(1)

    def validate(self, state: TrainState, log: RunLog, share: float, done: Callable[[int], None]) -> Evaluation:
        """Score with greedy search, write the curves, the translations and the samples, keep the best weights.

        Args:
            state: its counters of validations are moved on.
            share: of the training that is done, 0 to 1.
            done: called after each batch; it may raise to stop, and then nothing has been written.
        """
        greedy = replace(self.config.decode, beam=1, nbest=1)
        texts, most = (self.src, self.references, self.config.data.language), self.options.valid_pairs
        evaluation = evaluate_together(self.translator, *texts, greedy, translate_first=most, done=done)
        scores = evaluation.scores
        state.validated, state.validated_at = state.step, share
        state.validations += 1
        state.plateau.observe(scores["nll"], self.options.optimizer)
        value = METRICS[self.options.metric].of(scores)
        self._keep_if_best(value, scores["nll"], state)
        if self.options.keep:
            self._keep_several(value, state)
        if self.options.average:
            self._keep_recent(state)
        figures = evaluation.curves("valid", "length_ratio")
        log.scalars(state.step, figures | {"train/tokens": state.tokens, "train/seconds": state.seconds})
        lines = "".join(f"{best[0].text}\n" for best in evaluation.translations)
        write_atomically(self.run.validation(state.step), lines)
        self._show_samples(state, log, share)
        return evaluation

    def _keep_if_best(self, value: float, nll: float, state: TrainState) -> None:
        """Keep the weights of the best metric; of equal ones, those of the lowest NLL."""
        best, best_nll, metric = state.best, state.best_nll, METRICS[self.options.metric]
        likelier = best_nll is None or math.isnan(best_nll) or nll < best_nll
        if best is None or math.isnan(best) or metric.better(value, best) or (value == best and likelier):
            state.best, state.best_step, state.best_nll, state.waited = value, state.step, nll, 0
            self._save_weights("best", state)
        else:
            state.waited += 1

    def warning(self, state: TrainState, done: float) -> str | None:
        """One line, once in a training, where the metric was 0 at every validation and a tenth is ``done``."""
        metric, code = METRICS[self.options.metric], self.config.data.language
        said = f"data.tgt={code} may not be the language" if code else "data.tgt is not given"
        if state.warned or state.best != 0 or not metric.higher_is_better or done < 0.1 or state.validations < 2:
            return None
        state.warned = True
        return (
            f"warning: {metric.label} is 0 at all {state.validations} validations up to step {state.step}: it may be "
            f"too early, {said} (BLEU splits words by it), or source and target are "
            f"swapped: read {self.run.validation(state.step)}; trainer.metric=nll moves sooner"
        )

    def _keep_recent(self, state: TrainState) -> None:
        self._save_weights(f"recent-{state.step}", state)
        state.recent.append(state.step)
        while len(state.recent) > self.options.average:
            self.run.checkpoint(f"recent-{state.recent.pop(0)}").unlink(missing_ok=True)

    def _keep_several(self, value: float, state: TrainState) -> None:
        """Keep these weights, and of those kept before the last and the best."""
        self._save_weights(f"{KEPT}{state.step}", state)
        state.kept.append(Kept(state.step, value))
        values = {kept.step: kept.value for kept in state.kept}
        ranked = best_first(values, METRICS[self.options.metric].higher_is_better)
        stay = {*ranked[: self.options.keep], *list(values)[-self.options.keep :]}
        for kept in state.kept:
            if kept.step not in stay:
                self.run.checkpoint(f"{KEPT}{kept.step}").unlink(missing_ok=True)
        state.kept = [kept for kept in state.kept if kept.step in stay]

    def _save_weights(self, name: str, state: TrainState) -> None:
        weights = checkpoint.weights_of(self.translator.models[0])
        checkpoint.save_weights(self.run.checkpoint(name), weights, asdict(state))

    def _show_samples(self, state: TrainState, log: RunLog, share: float) -> None:
        src, references = self.src[: self.options.samples], self.references[: self.options.samples]
        if src:
            alone = self.translator.alone()
            with evaluating(alone.models):
                found = alone.translate(src, self.config.decode, attention=True)
            log.samples(state.step, src, references, [best[0] for best in found])
            if int(share * PICTURES) > state.pictured:
                state.pictured = int(share * PICTURES)
                log.attention(state.step, [best[0] for best in found])
