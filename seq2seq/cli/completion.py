"""``seq2seq completion``: verbs, keys and values for bash. Knows the schema and the YAML files; no torch."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.cli.verbs import VERBS
from seq2seq.config.compose import GROUPS, options_of
from seq2seq.config.overrides import CHANGEABLE
from seq2seq.config.validation import every_option
from seq2seq.export.options import QUANTIZATIONS, TARGETS
from seq2seq.study.options import SET_BY_THE_STUDY, STUDY_KEYS

BASH = r"""# bash completion of seq2seq; use it by:  eval "$(seq2seq completion)"
_seq2seq() {
    local cur="${COMP_LINE:0:COMP_POINT}"
    local words; read -ra words <<< "$cur"
    [[ "$cur" == *" " ]] && words+=("")
    local last="${words[-1]}"
    local IFS=$'\n'
    COMPREPLY=($(seq2seq completion -- "${words[@]:1}" 2>/dev/null) $(compgen -f -- "$last"))
    # Bash breaks words at "=": only what stands behind it may be inserted.
    if [[ "$last" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${last%=*}="}")
    fi
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
}
complete -o nospace -F _seq2seq seq2seq"""


def parser() -> Parser:
    about = 'Print the completion script for bash. Use it by: eval "$(seq2seq completion)"'
    taken = Parser("completion", about)
    taken.add_argument("words", nargs="*", metavar="WORD", help="words to complete (the script passes them)")
    return taken


def validate(given: Arguments) -> list[str]:
    """The words of a command, the last of which is to be completed."""
    return [word for word in given.words if word != "--"]


def run(given: Arguments, words: list[str]) -> int:
    """Print the script, or the completions of the last word, one a line."""
    print("\n".join(complete(words)) if given.typed else BASH)
    return 0


def complete(words: Sequence[str]) -> list[str]:
    """Completions of the last of ``words``, which are the arguments of ``seq2seq`` so far."""
    if len(words) <= 1:
        start = words[0] if words else ""
        return [f"{verb} " for verb in VERBS if verb.startswith(start)]
    last = words[-1]
    if words[0] == "export":
        flags = {"--to": TARGETS, "--quantization": QUANTIZATIONS}
        names = flags.get(words[-2], ("--to", "--out", "--quantization") if last.startswith("-") else ())
        return [f"{name} " for name in names if name.startswith(last)]
    key, sign, value = last.partition("=")
    if not sign:
        leaves = {name for name, *_ in every_option()}
        if words[0] == "train":
            leaves |= set(GROUPS)
        elif words[0] == "compare":
            leaves = (leaves | set(GROUPS) | set(STUDY_KEYS)) - set(SET_BY_THE_STUDY)
        else:
            leaves = {name for name in leaves if name.startswith(CHANGEABLE)}
        return sorted(f"{name}=" for name in leaves if name.startswith(key))
    if key in (*GROUPS, "study"):
        choices = options_of(key)
    else:
        offered = (choice for name, limits, *_ in every_option() if name == key for choice in limits["choices"])
        choices = list(dict.fromkeys(offered))
    return [f"{key}={choice} " for choice in choices if choice.startswith(value)]
