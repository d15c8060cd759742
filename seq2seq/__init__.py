"""Translation models of three architectures, trained and compared through one pipeline.

    import seq2seq

    model = seq2seq.load("outputs/embedded/transformer/seed1")
    for translation in model.translate(["The old dog sleeps.", "It had eaten the bread."], beam=5):
        print(translation.text, translation.score)

    model = seq2seq.train(["experiment=lstm", "trainer.max_steps=500"])

The package itself imports nothing heavy: torch is loaded by the first call.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seq2seq.config.schema import Config
    from seq2seq.runs.loading import TrainedModel

    __version__: str

__all__ = ["__version__", "load", "train"]


def load(*runs: str | PathLike[str], device: str = "auto", **options: str | int) -> TrainedModel:
    """A trained model, ready to translate.

    Args:
        runs: a run folder, one of its checkpoints (``.safetensors``) or a folder exported to ONNX; several are an
            ensemble, which must share its subwords.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        options: ``precision`` of the matrix products and ``seed`` of torch's global generator, from which sampling
            draws, if they are not to be the run's own.

    Raises:
        seq2seq.errors.UserError: no run or no checkpoint there, damaged files, or a device that is not there.
    """
    from seq2seq.config.overrides import override
    from seq2seq.errors import UserError
    from seq2seq.runs import loading
    from seq2seq.runs.run import find

    if not runs:
        raise UserError("give a run folder or a checkpoint, e.g. outputs/embedded/transformer/seed1")
    found = [find(Path(run)) for run in runs]
    keys = {"precision": "trainer.precision"}
    arguments = [f"{keys.get(name, name)}={value}" for name, value in {"device": device, **options}.items()]
    return loading.load(found, override(found[0][0].load_config(), arguments))


def train(config: Config | Sequence[str]) -> TrainedModel:
    """Train a model, test it, and load it. A call with the same config goes on with an unfinished run.

    Progress goes to stderr, tables to stdout, everything else into the run folder.

    Args:
        config: ``key=value`` arguments as for ``seq2seq train`` (``["experiment=lstm", "seed=2"]``), or a whole
            ``seq2seq.config.schema.Config``.

    Raises:
        seq2seq.errors.UserError: an impossible config, data that cannot be read, another run of this name.
        seq2seq.training.trainer.Stopped: a signal came; the state is saved and the same call goes on.
    """
    from seq2seq.config.compose import compose
    from seq2seq.config.direction import directed
    from seq2seq.config.schema import Config
    from seq2seq.config.validation import validate
    from seq2seq.training import session

    config = directed(validate(config)) if isinstance(config, Config) else compose(config)
    return load(session.train(config).folder, device=config.device)


def __getattr__(name: str) -> str:
    if name == "__version__":  # looked up when asked for: the package also works where it is not installed
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("seq2seq-trainer")
        except PackageNotFoundError:
            return "unknown (not installed)"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
