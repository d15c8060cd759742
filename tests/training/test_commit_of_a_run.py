"""A run on a repository of the hub goes on at the commit that it was begun with, whatever is pushed there since."""

from __future__ import annotations

import json
from pathlib import Path

from tests.hub_server import client_environment
from tests.processes import run_command

CLIENT = """
import json, os
from tests.hub_server import Hub

def rows(count):
    lines = [{"en": f"the cat {n} sees", "de": f"die Katze {n} sieht"} for n in range(count)]
    return "".join(json.dumps(line) + chr(10) for line in lines).encode()

with Hub() as hub:
    os.environ["HF_ENDPOINT"] = hub.address
    from seq2seq.config.compose import compose
    from seq2seq.errors import UserError
    from seq2seq.training import session
    from seq2seq.training.trainer import Trainer

    def killed(trainer):
        raise SystemExit(9)

    def train(name, *more):
        return session.train(compose([*options, f"name={name}", *more]))

    options = ["model=bahdanau", "data.source=hub", "data.hub.repo=owner/pairs", "data.src=en", "data.tgt=de"]
    options += ["model.embedding=16", "model.encoder.width=16", "model.decoder.width=16", "data.cache=cache"]
    options += ["data.subwords.vocab_size=40", "data.subwords.byte_fallback=false", "trainer.threads=1"]
    options += ["trainer.max_steps=1", "trainer.valid_every=1", "device=cpu"]
    options += ["trainer.batch_tokens=128", "trainer.precision=fp32", "trainer.samples=0", "decode.beam=1"]
    runs = {"newest": (), "branch": ("data.hub.revision=main",), "streamed": ("data.hub.streaming=true",)}
    files = {f"{split}.jsonl": rows(12) for split in ("train", "validation", "test")}
    hub.publish("owner/pairs", files)
    answers, whole = {"commit": hub.commit("owner/pairs")}, Trainer.train
    Trainer.train = killed
    for name, more in runs.items():
        try:
            train(name, *more)
        except SystemExit:
            pass
    hub.publish("owner/pairs", files | {"README.md": b"Edited.", "train.jsonl": rows(20)})
    Trainer.train = whole
    for name, more in runs.items():
        try:
            run = train(name, *more)
            answers[name] = [run.load_config().data.hub.revision, run.finished]
        except UserError as error:
            answers[name] = str(error)
    try:
        train("branch", "data.hub.revision=v2")
    except UserError as error:
        answers["other"] = str(error)
    print(json.dumps(answers))
"""


def test_a_run_goes_on_at_the_commit_that_it_began_with(tmp_path: Path) -> None:
    """Where no revision is given, where a branch is, and in a stream; another branch is another config."""
    program = tmp_path / "client.py"
    program.write_text(CLIENT)
    done = run_command(module=str(program), env=client_environment("", tmp_path), cwd=tmp_path, timeout=200)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    commit = answers["commit"]
    assert answers["newest"] == answers["streamed"] == [commit, True]
    assert answers["branch"] == [f"main@{commit}", True]
    assert f"another config (data.hub.revision: main@{commit} -> v2)" in answers["other"]
