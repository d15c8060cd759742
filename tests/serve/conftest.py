"""Runs of tiny untrained models, a service with them, and the application as a client meets it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from seq2seq.config.schema import Config, DataConfig, DecodeConfig, ModelConfig, TrainerConfig
from seq2seq.data.subwords import Subwords
from seq2seq.models.interface import Seq2Seq
from seq2seq.runs import checkpoint
from seq2seq.runs.run import Run

MODELS = ("lstm", "bahdanau", "transformer")
Send = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def runs(
    build_tiny: Callable[..., Seq2Seq],
    tiny_models: dict[str, ModelConfig],
    tiny_subwords: Subwords,
    pairs: list[tuple[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Run]:
    """A run of each of ``MODELS``, with its test split."""
    made = []
    for name in MODELS:
        run = Run(tmp_path_factory.mktemp("runs") / name)
        run.folder.mkdir()
        search = DecodeConfig(beam=3, max_ratio=1.0, max_extra=4)
        trainer = TrainerConfig(max_steps=1, precision="fp32")
        model = replace(tiny_models[name], name=name)
        run.save_config(Config(data=DataConfig(source="text"), model=model, trainer=trainer, decode=search))
        tiny_subwords.save(run.subwords)
        checkpoint.save_weights(run.checkpoint("best"), checkpoint.weights_of(build_tiny(name, vocab=320)), {})
        test = run.evaluation("test")
        test.mkdir(parents=True)
        for side, file in enumerate(("src", "ref")):
            (test / f"{file}.txt").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
        made.append(run)
    return made


@pytest.fixture(scope="session")
def served(runs: list[Run]) -> Any:
    """The models of ``runs``, loaded."""
    pytest.importorskip("starlette", reason="the extra `serve` is not installed")
    from seq2seq.config.overrides import override
    from seq2seq.serve.served import open_models

    configs = [override(run.load_config(), ["device=cpu", "decode.max_input=150"]) for run in runs]
    return open_models([(run, "best") for run in runs], configs)


@pytest.fixture
def client(served: Any) -> Iterator[Any]:
    """A client of the application, which has started."""
    from starlette.testclient import TestClient

    from seq2seq.serve.application import Service, application
    from seq2seq.serve.limits import Limits

    service = Service(served, Limits(queue=40, texts=5, characters=300, body=5_000, tokens=200, sending=0.5))
    app = application(service, ["127.0.0.1"])
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as found:
        found.service = service
        yield found


@pytest.fixture
def translate(client: Any) -> Send:
    """``translate(text=…, …)``: what the API answers."""

    def ask(**asked: Any) -> dict[str, Any]:
        answer = client.post("/api/translate", json=asked)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    return ask


class Running:
    """A server in a thread of this process."""

    def __init__(self, served: Any, host: str = "127.0.0.1", **limits: Any) -> None:
        from seq2seq.serve.application import Service
        from seq2seq.serve.limits import Limits
        from seq2seq.serve.server import bound, server_of

        self.service = Service(served, Limits(**limits))
        place = bound(host, 0)
        self.port = int(place.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = server_of(self.service, place, host, [])
        self.thread = threading.Thread(target=self.server.run, args=([place],))

    def __enter__(self) -> Running:
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(40)
        assert not self.thread.is_alive()


@pytest.fixture(scope="session")
def running(served: Any) -> Callable[..., Running]:
    """``with running(limit=…) as server``: the models at ``server.url``."""
    return lambda **limits: Running(served, **limits)


@pytest.fixture(scope="session")
def arguments(runs: list[Run]) -> list[str]:
    """Arguments of ``seq2seq serve`` for these runs, at any free port."""
    return ["serve", *(str(run.folder) for run in runs), "--port", "0", "device=cpu", "trainer.threads=1"]
