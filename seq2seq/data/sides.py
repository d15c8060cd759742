"""What a user should know of the two sides of a corpus: which file is which language, and what seems not to fit.

Knows files, columns and the languages that they say; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from seq2seq.config.schema import DataConfig
from seq2seq.data import files, languages

SHOWN = 3  # files
UNKNOWN = "not given"
DIRECTION = "data.src and data.tgt only name what is there; data.reverse=true trains the other direction"


def sides_of(data: DataConfig) -> list[tuple[str, str, str]]:
    """For each side of a corpus in files: side, language, and the files or the column that it is read from."""
    if data.source in ("hub", "grammar"):
        return []
    if data.source == "text":
        both = _files(data, "file")  # zips, TMX and XLIFF
        places = [_listed([*_files(data, side), *both]) for side in ("src", "tgt")]
    else:
        default = ("1", "2") if data.source == "tsv" else data.codes
        columns = (data.src_column or default[0] or UNKNOWN, data.tgt_column or default[1] or UNKNOWN)
        places = [f"column {column} of {_listed(_files(data, 'file'))}" for column in columns]
    src, tgt = (code or UNKNOWN for code in data.codes)
    return [("source", src, places[0]), ("target", tgt, places[1])]


def doubts(data: DataConfig, valid: Sequence[Sequence[str]]) -> Iterator[str]:
    """What is worth a warning, each in one line with its cure.

    Args:
        valid: sources and references of the validation split, whose text is looked at.
    """
    if data.source == "tsv":
        yield from _headers(data)
    said = [code or "" for code in data.codes]  # of "" nothing is doubted
    names = [_first_other(_files(data, side), code) for side, code in zip(("src", "tgt"), said, strict=True)]
    if data.source == "text" and all(names):
        (src, _), (tgt, _) = (name or ("", "") for name in names)
        yield f"{src} is read as {said[0]} (data.src) and {tgt} as {said[1]} (data.tgt), but not so named: {DIRECTION}"
        return
    texts = [languages.of_text(lines, code) for lines, code in zip(valid, said, strict=True)]
    for side, code, name, text in zip(("src", "tgt"), said, names, texts, strict=True):
        cure = f"set data.{side}, or give another file; {DIRECTION}"
        if name:
            yield f"{name[0]} is read as {code} (data.{side}), but its name says {name[1]}: {cure}"
        elif text:
            yield f"data.{side}={code}, but the validation text on this side looks like {text}: {cure}"


def misplaced(paths: Mapping[str, str], codes: Sequence[str | None], texts: Sequence[Sequence[str]]) -> Iterator[str]:
    """A warning for each file given to a trained model whose name or text is of another language than the model's.

    Args:
        paths: of the source and the references, by their flags.
        codes, texts: of both; of an unknown language nothing is doubted.
    """
    for (flag, path), code, lines in zip(paths.items(), codes, texts, strict=True):
        named, text = _first_other([path], code or ""), languages.of_text(lines, code or "")
        if named or text:
            why = f"its name says {named[1]}" if named else f"it looks like {text}"
            yield f"{flag} {path} is read as {code}, but {why}: look whether --src and --ref are the right way round"


def _headers(data: DataConfig) -> Iterator[str]:
    """A warning for a TSV file whose first line is read as a pair, but holds the names of columns."""
    numbers = (data.src_column or "1", data.tgt_column or "2")
    if not all(number.isdecimal() for number in numbers):
        return  # the first line is known to be a header
    for path in _files(data, "file"):
        cells = next(iter(files.lines(path)), "").split("\t")
        places = [int(number) - 1 for number in numbers]
        chosen = [cells[place] for place in places if place < len(cells)]
        if len(chosen) == len(places) and languages.looks_like_header(chosen):
            cure = f"set data.src_column={chosen[0]} data.tgt_column={chosen[1]}"
            if places[0] > places[1]:  # because the user has said so, or data.reverse=true
                cure = "give these names as data.src_column and data.tgt_column instead of the numbers"
            cure = f"if it names the columns, {cure}"
            yield f"{path}: its first line, {chosen[0]} and {chosen[1]}, is read as a pair: {cure}"


def _first_other(paths: Sequence[str], code: str) -> tuple[str, str] | None:
    """The first file whose name says another language than ``code``, with that language."""
    if not code:
        return None
    own = languages.known(code) or code
    named = ((path, languages.of_name(path)) for path in paths)
    return next(((path, other) for path, other in named if other is not None and other != own), None)


def _files(data: DataConfig, key: str) -> list[str]:
    """The files of a side, or of both (``file``), of all splits."""
    found = []
    for split in ("train", "valid", "test", *data.tests):
        options = data.split_options(split)
        value = {"src": options.src, "tgt": options.tgt, "file": options.file}[key]
        found += [] if value is None else files.matching(value, f"data.{split}.{key}")
    return list(dict.fromkeys(found))


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more
