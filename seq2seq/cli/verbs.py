"""The list of verbs, stated once: help, completion and ``main`` read it. Knows only names and sentences.

The verb NAME is the module ``seq2seq.cli.NAME``. Each has three functions, called in this order:

- ``parser()``: the ``Parser`` of its arguments, with its help;
- ``validate(given)``: checks the parsed arguments and returns what ``run`` needs, or raises ``UserError``; it imports
  nothing heavy, so that a mistake is answered before torch is loaded;
- ``run(given, valid)``: does the work and returns the exit code; heavy imports stand inside it.
"""

from __future__ import annotations

import textwrap

VERBS = {
    "train": ("experiment=NAME [key=value …]", "train, test, print the scores"),
    "evaluate": ("RUN [key=value …]", "score a split or new files"),
    "translate": ("RUN [key=value …]", "translate a file or what you type"),
    "serve": ("RUN [RUN RUN] [key=value …]", "a page to try up to three models, and an API"),
    "compare": ("study=NAME [key=value …]", "train models side by side and explain the difference in a page"),
    "runs": ("[FOLDER …]", "a table of all runs: scores, cost, what differs"),
    "report": ("RUN RUN …", "that page from any runs"),
    "align": ("RUN", "word alignments by attention, AER"),
    "score": ("--ref FILE NAME=FILE …", "statistics of any translations"),
    "average": ("RUN --last N|--best N", "the mean weights of several checkpoints"),
    "export": ("RUN --to onnx|…", "a model for other programs"),
    "doctor": ("[data=… key=value …]", "examine a corpus, or this machine; prove that kills do no harm"),
    "configs": ("", "list the experiments that ship"),
    "completion": ("[bash|zsh|fish]", "print the completion for a shell"),
}
"""The arguments of each verb and a line about it, by name, in the order of a user's work."""


def overview() -> str:
    """The text of ``seq2seq --help``, within 80 columns."""
    lines = ["seq2seq trains translation models, three architectures through one pipeline.", ""]
    for name, (arguments, about) in VERBS.items():
        first, *more = textwrap.wrap(about, 33)
        lines.append(f"  {f'seq2seq {name} {arguments}':<44} {first}")
        lines += [f"{'':<47}{line}" for line in more]
    verbs = "\n".join(lines)
    return f"""{verbs}

seq2seq VERB --help explains the verb and every option with its default, and
seq2seq --version names the versions of the program and of torch.
A RUN is a run folder below outputs/, or one of its checkpoints; several are an
ensemble.
"""
