"""``seq2seq completion``: verbs, flags, keys and values for a shell. Knows the schema and the YAML files; no torch."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from seq2seq.cli.arguments import Arguments, Parser
from seq2seq.cli.verbs import VERBS
from seq2seq.config.compose import GROUPS, options_of
from seq2seq.config.overrides import is_in
from seq2seq.config.schema import EVALUATION, TRANSLATION
from seq2seq.config.sweep import CHOICE, IN_TURN, PLUGINS
from seq2seq.config.validation import every_option
from seq2seq.errors import UserError
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
ZSH = r"""#compdef seq2seq
# zsh completion of seq2seq; use it by:  eval "$(seq2seq completion zsh)"
_seq2seq() {
    local -a found whole open
    found=("${(@f)$(seq2seq completion -- "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    open=(${found:#* })
    whole=(${${(M)found:#* }% })
    (( $#open )) && compadd -Q -S '' -- $open
    (( $#whole )) && compadd -Q -- $whole
    compset -P '*='
    _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _seq2seq seq2seq"""
FISH = r"""# fish completion of seq2seq; use it by:  seq2seq completion fish | source
function __seq2seq_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    seq2seq completion -- $before[2..-1] "$current" 2>/dev/null | string trim --right
end
complete -c seq2seq -a '(__seq2seq_complete)'"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
TAKES_OPTIONS = ("train", "compare", "evaluate", "translate", "serve", "align")  # key=value
VALUES = {"--to": TARGETS, "--quantization": QUANTIZATIONS}  # of flags


def parser() -> Parser:
    about = """Print the completion script for bash, zsh or fish. Use it by one of

  eval "$(seq2seq completion)"
  eval "$(seq2seq completion zsh)"
  seq2seq completion fish | source"""
    taken = Parser("completion", about)
    taken.add_argument("words", nargs="*", metavar="SHELL", help=f"{', '.join(SCRIPTS)} (default: bash)")
    return taken


def validate(given: Arguments) -> list[str]:
    """The name of a shell; or, behind ``--``, the words of a command, the last of which is to be completed."""
    if given.typed[:1] == ["--"]:
        return [word for word in given.words if word != "--"]
    if given.words and given.words not in [[name] for name in SCRIPTS]:
        raise UserError(f"completion {' '.join(given.words)}: give one of {', '.join(SCRIPTS)}")
    return given.words or ["bash"]


def run(given: Arguments, words: list[str]) -> int:
    """Print the script, or the completions of the last word, one a line."""
    print("\n".join(complete(words)) if given.typed[:1] == ["--"] else SCRIPTS[words[0]])
    return 0


def complete(words: Sequence[str]) -> list[str]:
    """Completions of the last of ``words``, which are the arguments of ``seq2seq`` so far."""
    if len(words) <= 1:
        start = words[0] if words else ""
        return [f"{verb} " for verb in VERBS if verb.startswith(start)]
    last = words[-1]
    verb = words[0]
    flags = flags_of(verb)
    if flags.get(words[-2]):  # the value of a flag; the shell itself offers files
        return [f"{name} " for name in VALUES.get(words[-2], ()) if name.startswith(last)]
    if last.startswith("-"):
        return [f"{name} " for name in flags if name.startswith(last)]
    if verb == "completion":
        return [f"{name} " for name in SCRIPTS if name.startswith(last)]
    if verb not in TAKES_OPTIONS:
        return []
    key, sign, value = last.partition("=")
    if not sign:
        leaves = {name for name, *_ in every_option()}
        if verb == "train":
            leaves |= {*GROUPS, CHOICE}
        elif verb == "compare":
            leaves = (leaves | {*GROUPS, *STUDY_KEYS, CHOICE}) - set(SET_BY_THE_STUDY)
        else:
            sections = TRANSLATION if verb in ("translate", "serve") else EVALUATION
            leaves = {name for name in leaves if is_in(name, sections)}
        return sorted(f"{name}=" for name in leaves if name.startswith(key))
    if key in (*GROUPS, "study"):
        choices = options_of(key)
    elif key == CHOICE:
        choices = [IN_TURN, *PLUGINS]
    else:
        offered = (choice for name, limits, *_ in every_option() if name == key for choice in limits["choices"])
        choices = list(dict.fromkeys(offered))
    return [f"{key}={choice} " for choice in choices if choice.startswith(value)]


def flags_of(verb: str) -> dict[str, bool]:
    """The flags of a verb, each with whether it takes a value; none if there is no such verb."""
    if verb not in VERBS:
        return {}
    actions = importlib.import_module(f"seq2seq.cli.{verb}").parser()._actions
    shown = [action for action in actions if action.help != argparse.SUPPRESS]
    return {name: each.nargs != 0 for each in shown for name in each.option_strings if name.startswith("--")}
