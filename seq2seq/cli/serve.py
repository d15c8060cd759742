"""``seq2seq serve``. Knows the arguments; the page and the API are ``serve``'s."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from seq2seq.cli.arguments import RUNS, Arguments, Parser, runs_and_options
from seq2seq.cli.help import reference
from seq2seq.config.schema import TRANSLATION, Config
from seq2seq.errors import UserError
from seq2seq.runs.run import Run
from seq2seq.serve.limits import LONGEST_INPUT, MODELS, Limits

ABOUT = f"""Serve up to {MODELS} trained runs side by side: a page to try them in a browser, and
an API (docs/serving.md). Each run is a model of its own, not an ensemble."""
PACKAGES = ("starlette", "uvicorn")  # of the extra
HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9a-fA-F:.]+\]")


@dataclass(frozen=True)
class Serving:
    """What is served, and where."""

    runs: Sequence[tuple[Run, str]]
    configs: Sequence[Config]
    host: str
    port: int
    others: Sequence[str]
    limits: Limits


def parser() -> Parser:
    taken = Parser("serve", ABOUT, reference(TRANSLATION))
    taken.add_argument("arguments", nargs="*", metavar="RUN … key=value …", help=RUNS)
    own = "127.0.0.1"
    taken.add_argument("--host", default=own, metavar="ADDRESS", help=f"where to listen (default: {own}, this machine)")
    taken.add_argument("--port", type=int, default=8000, metavar="N", help="(default: 8000); 0: any free one")
    names = "a name by which browsers call this server; also several times"
    taken.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=names)
    for flag, (value, about) in BOUNDS.items():
        taken.add_argument(flag, type=int, default=value, metavar="N", help=f"{about} (default: {value})")
    return taken


BOUNDS = {
    "--max-characters": (Limits.characters, "longest text, in characters"),
    "--max-texts": (Limits.texts, "most texts of a request"),
    "--queue": (Limits.queue, "most requests that wait, each once for each of its models"),
}
"""Flags of limits, with their defaults and what they mean."""


def validate(given: Arguments) -> Serving:
    """The runs, each with its config, and the limits. Raises ``UserError``, also without the extra ``serve``."""
    from seq2seq.config.overrides import override

    runs, options = runs_and_options(given)
    if len(runs) > MODELS:
        raise UserError(f"{len(runs)} runs: give at most {MODELS}, which stand side by side")
    if not 0 <= given.port <= 65_535:
        raise UserError(f"--port {given.port}: give 0 to 65535")
    for name in given.allow_host:
        if not HOST.fullmatch(name):
            raise UserError(f"--allow-host {name}: give a name without a port, such as translate.example.org")
    limits = Limits(characters=given.max_characters, texts=given.max_texts, queue=given.queue)
    for flag, value in zip(BOUNDS, (limits.characters, limits.texts, limits.queue), strict=True):
        if not 1 <= value <= 1_000_000:
            raise UserError(f"{flag} {value}: give 1 to 1000000")
    if limits.queue < len(runs):
        needed = f"give at least {len(runs)}, since the page asks all {len(runs)} models at once"
        raise UserError(f"--queue {limits.queue}: {needed}")
    configs = [override(run.load_config(), options, sections=TRANSLATION) for run, _ in runs]
    if not any(option.partition("=")[0] == "decode.max_input" for option in options):
        configs = [_shortened(config) for config in configs]
    lacking = [package for package in PACKAGES if find_spec(package) is None]
    if lacking:
        raise UserError(f"{lacking[0]} is not installed: pip install 'seq2seq-trainer[serve]'")
    return Serving(runs, configs, given.host, given.port, given.allow_host, limits)


def _shortened(config: Config) -> Config:
    longest = min(config.decode.max_input, LONGEST_INPUT)
    return replace(config, decode=replace(config.decode, max_input=longest))


def run(given: Arguments, valid: Serving) -> int:
    """Serve until a signal; then 0. Raises ``UserError``: the address is taken, or a run cannot be loaded."""
    from seq2seq.serve.served import open_models
    from seq2seq.serve.server import bound, serve

    with bound(valid.host, valid.port) as place:  # before the models are loaded, which takes seconds
        models = open_models(valid.runs, valid.configs)
        serve(models, place, valid.host, valid.others, valid.limits)
    return 0
