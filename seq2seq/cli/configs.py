"""``seq2seq configs``. Knows the YAML files that ship."""

from __future__ import annotations

from seq2seq.cli.arguments import Arguments, Parser


def parser() -> Parser:
    about = "List the experiments that ship: what experiment=NAME and make train CONFIG=NAME\ncan be."
    return Parser("configs", about)


def validate(given: Arguments) -> list[str]:
    """The names."""
    from seq2seq.config.compose import options_of

    return options_of("experiment")


def run(given: Arguments, names: list[str]) -> int:
    """Print a name a line."""
    print("\n".join(names))
    return 0
