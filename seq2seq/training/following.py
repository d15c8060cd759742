"""What the processes beside the leader do: they meet it, get its weights, and follow its orders to the end.

The leader runs the session and the loop as if it were alone; at each point where the others have a share of the work it
gives an order, and the same function is computed here. Followers read the corpus from the cache, never the run folder,
and write nothing.
"""

from __future__ import annotations

import platform
import signal
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from seq2seq.config.schema import Config, DecodeConfig
from seq2seq.config.validation import check_compiled_on, from_plain, to_plain
from seq2seq.data.batches import BatchStream
from seq2seq.data.encoded import Corpus, prepare
from seq2seq.data.streamed import batches_of
from seq2seq.data.subwords import Subwords
from seq2seq.decoding.translator import Translator
from seq2seq.errors import UserError
from seq2seq.evaluation.evaluate import Evaluation, evaluate, evaluating, reference_likelihood
from seq2seq.models.build import build
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs.checkpoint import training_tensors
from seq2seq.runs.fingerprint import of_subwords
from seq2seq.system.devices import choose_device, choose_precision, prepare_process, use_threads
from seq2seq.system.distributed import joined
from seq2seq.system.processes import Group, Interrupted, Order
from seq2seq.system.signals import STOPS, handling
from seq2seq.training import initial
from seq2seq.training.guidance import training_links
from seq2seq.training.progress import RunningMetrics, TrainState
from seq2seq.training.update import Updater, guided_map_of


def gather_team(
    group: Group, config: Config, corpus: Corpus, updater: Updater, state: TrainState, batches: BatchStream
) -> None:
    """The leader's part of the meeting: tell the followers what to train and from where, and give them the weights.

    Raises:
        UserError: what a follower lacks for it.
    """
    taken = corpus.subwords.models if config.subwords_of else ()
    order: Order = {
        "config": to_plain(config),
        "state": asdict(state),
        "place": batches.state(),
        "corpus": identity(corpus),
        "subwords": [b64encode(model).decode() for model in taken],
        "moments": updater.moments(),
        "scaler": updater.scaler.state_dict(),
    }
    group.tell("begin", **order)
    for lacking in filter(None, group.collect(None)):
        raise UserError(lacking)  # the first
    group.tell("join")
    updater.join(group, config.seed, order["moments"], order["scaler"])


def identity(corpus: Corpus) -> dict[str, str]:
    """What must be the same in all processes."""
    return {"text": corpus.fingerprint, "subwords": of_subwords(corpus)}


def evaluate_together(
    translator: Translator,
    src: Sequence[str],
    references: Sequence[str],
    language: str,
    options: DecodeConfig,
    translate_first: int | None = None,
    **more: Any,
) -> Evaluation:
    """``evaluate``, to which each process of the translator's group contributes its part of the batches."""
    texts = [list(src), list(references)]
    translator.group.tell("evaluate", texts=texts, options=asdict(options), most=translate_first)
    translator.group.same([p.detach() for model in translator.models for p in model.parameters()])
    return evaluate(translator, src, references, language, options, translate_first=translate_first, **more)


def follow() -> None:
    """Follow the leader to the end of the training. Signals are the leader's matter."""
    with handling(signal.SIG_IGN, signal.SIGINT, *STOPS), joined() as group:
        _obey_all(group)  # in a frame of its own: a replica that outlives its group can lock the process up


def _obey_all(group: Group) -> None:
    order = group.listen()
    if order["do"] == "end":
        return
    follower: Follower | None = None
    lacking: UserError | None = None
    try:
        follower = Follower(group, order)
    except UserError as error:
        lacking = error
    with suppress(Interrupted):  # by an end, which was listened to
        group.collect(_told_of(lacking, group) if lacking else None)
        if follower:
            _obey(follower, group)
    if lacking:
        raise lacking


def _obey(follower: Follower, group: Group) -> None:
    order = group.listen()
    while order["do"] != "end":
        try:
            follower.obey(order)
            order = group.listen()
        except Interrupted as other:
            order = other.order
        except UserError as error:  # which the leader does not wait for
            print(f"seq2seq: error: {_told_of(error, group)}", file=sys.stderr)
            raise


def _told_of(error: UserError, group: Group) -> str:
    return f"process {group.rank} on {platform.node()}: {error}"


class Follower:
    """One process beside the leader: a replica of the model, and the same place in the same batches."""

    def __init__(self, group: Group, order: Order) -> None:
        """Build what the leader has, from the config that it tells. Raises ``UserError`` where this machine cannot."""
        prepare_process()
        self.group, self.config = group, from_plain(order["config"], "the leader's config")
        config, trainer = self.config, self.config.trainer
        device = choose_device(config.device, group.local)
        precision = choose_precision(trainer.precision, device)
        check_compiled_on(trainer, device.type)
        use_threads(trainer.threads)
        models = [b64decode(model) for model in order["subwords"]]
        corpus = prepare(config.data, Subwords(*models) if models else None, trainer.threads)
        for what, own in identity(corpus).items():
            if own != order["corpus"][what]:
                raise UserError(
                    f"{corpus.folder}: other {what} than the leader's: give all machines the same text, and the same "
                    "version of sentencepiece"
                )
        model = build(config.model, *corpus.subwords.sizes)
        initial.freeze(trainer.freeze, model)
        self.updater = Updater(model, trainer, device, precision, guided_map_of(config))
        self.state, self.metrics = TrainState.restore(order["state"]), RunningMetrics()
        self.batches = stream(config, corpus, order["place"]["multiple"], order["place"])
        self.subwords, self.device, self.begun = corpus.subwords, device, order

    def join(self) -> None:
        """Take over the leader's weights and moments."""
        group, updater = self.group, self.updater
        updater.join(group, self.config.seed, self.begun["moments"], self.begun["scaler"])
        self.translator = Translator([updater.eval_model], self.subwords, self.device, updater.autocast, group)

    def obey(self, order: Order) -> None:
        """Do this process's part of an order. Raises ``Interrupted`` where the leader has given it up."""
        if order["do"] == "update":
            batches = self.batches.take(self.config.trainer.accumulate, self.group)
            self.updater.update(batches, order["rate"], self.state, self.metrics)
        elif order["do"] == "join":
            self.join()
        elif order["do"] == "evaluate":
            src, references = order["texts"]
            self._evaluate(src, references, DecodeConfig(**order["options"]), order["most"])
        elif order["do"] == "weights":
            self.updater.gather()
        elif order["do"] == "gather":
            training_tensors(self.updater.models, self.updater.optimizer)
        else:
            raise ValueError(f"unknown order {order['do']}")

    def _evaluate(self, src: list[str], references: list[str], options: DecodeConfig, most: int | None) -> None:
        model: Seq2Seq = self.updater.eval_model
        self.group.same([p.detach() for p in model.parameters()])
        with evaluating([model]):
            reference_likelihood(self.translator, src, references, longest=options.max_input)
            self.translator.translate(src[:most], options)


def stream(config: Config, corpus: Corpus, multiple: int, place: dict[str, int] | None = None) -> BatchStream:
    """The batches of a training, from ``place`` on."""
    links = training_links(config, corpus) if config.trainer.guided_attention else None
    return batches_of(config.data, corpus, config.trainer.batch_tokens, config.seed, multiple, place, links)
