"""The model card of a portable folder: what the model is, what it was trained on, how well it does. Knows records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import yaml

from seq2seq.config.schema import Config, DataConfig
from seq2seq.data.languages import Language
from seq2seq.runs.records import Fingerprint, Scores, Summary
from seq2seq.terminal.numbers import number

METRICS = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}


def model_card(
    config: Config,
    parameters: Mapping[str, int],
    vocabulary: tuple[int, int],
    summary: Summary | None,
    prints: Fingerprint | None,
    license: str | None,
) -> str:
    """The card in Markdown, with the fields that hubs read at its head.

    Args:
        config: without paths.
        parameters: their numbers by part, with ``total``.
        vocabulary: subwords of the source and of the target.
        summary, prints: of the run that the model comes from; None where they tell nothing of these weights.
        license: as the user names it.
    """
    languages = " to ".join(code or "a language that is not named" for code in config.data.codes)
    parts = [
        _head(config, license),
        f"# {config.model.name}: {languages}\n\nA translation model, trained with seq2seq-trainer.\n",
        _use(),
        f"## Model\n\n{_table(('', ''), _model_rows(config, parameters, vocabulary))}",
        f"## Data\n\n{_table(('', ''), _data_rows(config, summary, prints))}",
        f"## Scores\n\n{_scores(summary)}",
        f"## Limits\n\n{_limits(config, languages)}",
        f"## License\n\n{license or 'Not given: ask whoever handed the model on.'}\n",
    ]
    return "\n".join(parts)


def _head(config: Config, license: str | None) -> str:
    known = (Language.of(code).code for code in config.data.codes if code)
    codes = list(dict.fromkeys(code for code in known if re.fullmatch("[a-z]{2,3}", code)))  # hubs take no others
    fields: dict[str, Any] = {"language": codes} if codes else {}
    fields |= {"license": license} if license else {}
    fields |= {"pipeline_tag": "translation", "library_name": "seq2seq-trainer", "tags": ["translation"]}
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)}---\n"


def _use() -> str:
    return """## Use

FOLDER is the folder of this card.

```sh
pip install seq2seq-trainer
seq2seq translate FOLDER < text                        # a sentence a line
seq2seq evaluate FOLDER --src my.src --ref my.tgt      # scores on your text
python -c 'import seq2seq; print(seq2seq.load("FOLDER").translate(["…"])[0].text)'
seq2seq train init=FOLDER …                            # go on with your own corpus
```
"""


def _model_rows(
    config: Config, parameters: Mapping[str, int], vocabulary: tuple[int, int]
) -> Iterator[tuple[str, str]]:
    model, decode = config.model, config.decode
    for name, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        yield name, ", ".join(f"{key} {value}" for key, value in asdict(part).items())
    yield "embedding", f"{model.embedding}, tied weights: {model.tie}"
    yield "parameters", ", ".join(f"{name} {count:,}" for name, count in parameters.items())
    sizes = f"{vocabulary[0]:,}" if config.data.subwords.joint else f"{vocabulary[0]:,} and {vocabulary[1]:,}"
    yield "subwords", f"{config.data.subwords.type}, {sizes} (SentencePiece, text in NFC)"
    yield "search", f"beam {decode.beam}, length penalty {decode.length_penalty}"


def _data_rows(config: Config, summary: Summary | None, prints: Fingerprint | None) -> Iterator[tuple[str, str]]:
    yield "corpus", f"{config.data.name}: {_origin(config.data)}"
    if config.data.take:
        yield "training pairs, at most", f"{config.data.take:,}"
    yield "longest training sentence", f"{config.data.filters.max_length:,} tokens"
    if summary:
        yield "trained on", f"{summary['tokens']:,} target tokens in {summary['steps']:,} updates"
    if prints:
        yield "began from trained weights", "yes" if "initial" in prints else "no"
        for key in ("data", "references", "code"):
            yield f"fingerprint of {'the test references' if key == 'references' else key}", f"`{prints[key]}`"
        yield "versions", ", ".join(f"{name} {version}" for name, version in prints["versions"].items())


def _origin(data: DataConfig) -> str:
    if data.source == "grammar":
        return f"{data.grammar.pairs:,} English-German pairs made by the grammar of seq2seq-trainer"
    if data.source == "hub":
        options = (f"{key} {value}" for key, value in asdict(data.hub).items() if value and key != "sample")
        return f"a repository of the hub, {', '.join(options)}"
    return f"files ({data.source}) of whoever trained it"


def _scores(summary: Summary | None) -> str:
    if summary is None:
        return "None that were measured with these weights.\n"
    sets = {"test": summary["test"], **summary.get("tests", {})}
    known = [key for key in METRICS if key in summary["test"]]
    rows = [(name, f"{scores['sentences']:,}", *_figures(scores, known)) for name, scores in sets.items()]
    columns = ("test set", "sentences", *(METRICS[key] for key in known), "loss, nats a token")
    of_test: Mapping[str, Any] = summary["test"]
    signatures = "".join(f"- {METRICS[key]}: `{of_test[f'{key}_signature']}`\n" for key in known)
    return f"{_table(columns, rows)}\nSignatures:\n\n{signatures}"


def _figures(scores: Scores, keys: list[str]) -> Iterator[str]:
    given: Mapping[str, Any] = scores
    for key in keys:
        yield number(given[key], 2) if key in given else ""
    yield number(scores["nll"], 3)


def _limits(config: Config, languages: str) -> str:
    decode = config.decode
    longer = "its first tokens are read" if decode.too_long == "cut" else "it is refused"
    return f"""\
- It translates {languages}, a sentence a line. Other languages come out as nonsense, without a warning.
- The scores are of those test sets alone: on text of another kind it may do much worse. Measure it on your own.
- In training, sentences had at most {config.data.filters.max_length:,} tokens; longer ones are translated worse.
- A line of more than {decode.max_input:,} tokens is too long: {longer}.
- It repeats what is in its training text, mistakes and bias included; nothing filters its output.
"""


def _table(columns: tuple[str, ...], rows: Any) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in line)} |\n" for line in lines)
