"""A general and an own corpus in one training, weighted: what is counted, seen, refused, and resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from seq2seq.config.compose import compose
from seq2seq.config.schema import Config, DataConfig
from seq2seq.data.encoded import prepare
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from seq2seq.training import session
from seq2seq.training.trainer import Trainer

MakeConfig = Callable[..., Config]
OWN = [("my cat sees", "meine katze sieht"), ("", "leer"), ("my dog", "mein hund"), ("my dog", "mein hund")]


@pytest.fixture
def mixed(toy_data: DataConfig, tmp_path: Path) -> DataConfig:
    """The 48 pairs of the toy corpus once, and four of another file, one of them empty and one double, three times."""
    for side, ending in enumerate(("en", "de")):
        (tmp_path / f"own.{ending}").write_text("".join(f"{pair[side]}\n" for pair in OWN))
    own = replace(
        toy_data.train,
        src=[toy_data.train.src, str(tmp_path / "own.en")],
        tgt=[toy_data.train.tgt, str(tmp_path / "own.de")],
    )
    filters = replace(toy_data.filters, deduplicate=True)
    return replace(toy_data, name="mixed", train=own, weights=[1.0, 3.0], filters=filters)


def test_the_pairs_of_each_file_are_counted_after_the_filters(mixed: DataConfig) -> None:
    corpus = prepare(mixed)
    assert corpus.counts["train"]["files"] == [48, 2]
    assert corpus.splits["train"].files == (48, 2)
    plain = prepare(replace(mixed, weights=[]))
    assert "files" not in plain.counts["train"] and plain.counts["train"]["kept"] == 50
    assert [plain.splits["train"].tgt[n].tolist() for n in range(50)] == [
        corpus.splits["train"].tgt[n].tolist() for n in range(50)
    ]


def test_a_training_sees_the_pairs_as_often_and_goes_on_after_a_kill(
    mixed: DataConfig, toy_config: MakeConfig, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    options = {"max_epochs": 2, "save_every": 1, "valid_every": 100, "warmup_steps": 2}

    def config(name: str) -> Config:
        return replace(toy_config("lstm", mixed, **options), outputs=str(tmp_path / "outputs"), name=name)

    seen: Counter[bytes] = Counter()
    update = Trainer._update

    def count(trainer: Trainer, batches: list[Any]) -> None:
        for batch in batches:
            seen.update(row[row != 0].numpy().tobytes() for row in batch.tgt_out)
        update(trainer, batches)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_update", count)
        whole = session.train(config("whole"))
    corpus = prepare(mixed)
    targets = [corpus.splits["train"].tgt[n].astype(np.int64).tobytes() for n in range(50)]
    assert [seen[targets[n]] for n in (48, 49)] == [6, 6], "three times in each of two epochs"
    assert seen.total() == 2 * (48 + 3 * 2)
    shown = " ".join(capsys.readouterr().out.split())
    assert "training files" in shown and "│ 2 │ 2 │ 3 │" in shown

    def die_at_five(trainer: Trainer, batches: list[Any]) -> None:
        if trainer.state.step == 5:
            raise SystemExit(9)
        update(trainer, batches)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Trainer, "_update", die_at_five)
        session.train(config("killed"))
    again = session.train(config("killed"))
    assert weights(again) == weights(whole)


def weights(run: Run) -> dict[str, bytes]:
    return {key: tensor.numpy().tobytes() for key, tensor in load_file(run.checkpoint("last")).items()}


def test_what_cannot_be_is_refused(mixed: DataConfig) -> None:
    with pytest.raises(UserError, match=r"data.weights=\[1.0\] is 1 numbers, but the training text is 2 files"):
        prepare(replace(mixed, weights=[1.0]))
    for wrong, message in (("[0,1]", "above 0"), ("[-1]", "above 0"), ("[nan]", "above 0"), ("[1,2000]", "1000")):
        with pytest.raises(UserError, match=message):
            compose(["experiment=text/lstm", f"data.weights={wrong}"])
    with pytest.raises(UserError, match="do not go together"):
        compose(["experiment=text/lstm", "data.weights=[1,2]", "data.take=5"])
    assert compose(["experiment=text/lstm", "data.weights=[1,0.5]"]).data.weights == [1.0, 0.5]


def test_pairs_that_are_held_out_are_in_no_file(mixed: DataConfig, toy_data: DataConfig) -> None:
    data = replace(mixed, valid=replace(toy_data.valid, src=None, tgt=None), holdout=6)
    corpus = prepare(data)
    files = corpus.counts["train"]["files"]
    assert sum(files) == corpus.counts["train"]["kept"] < 50 and corpus.counts["valid"]["kept"] == 6
    assert files[0] >= 42
