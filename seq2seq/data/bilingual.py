"""Files that hold both sides of a corpus and say their languages: TMX, XLIFF, and the zips in Moses format of OPUS.

Knows which languages are asked for and which are there; ``units`` reads XML, ``files`` the lines of a zip's members.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from seq2seq.config.schema import DataConfig
from seq2seq.data import files, streams
from seq2seq.data.files import Pair, Part, unchanged
from seq2seq.data.languages import Language
from seq2seq.data.streams import Member
from seq2seq.data.units import units
from seq2seq.errors import UserError

ENDINGS = {
    "moses": (".zip",),
    "tmx": (".tmx",),
    "xliff": (".xlf", ".xliff", ".sdlxliff", ".mxliff", ".mqxliff", ".mxlf"),
}
FORMATS = ".zip (Moses), .tmx, .xlf, .xliff, also with .gz, .bz2, .xz, .zst"
READING = 2  # to be raised whenever other units of a file are read, so that older encodings of it are made anew
LANGUAGES, SHOWN = 1_000, 20  # codes in a file, and in a message


def format_of(path: str) -> str | None:
    """The format that the end of a name says, also of a packed file's; None if it says none."""
    name = PurePath(path)
    ending = (PurePath(name.stem) if name.suffix in streams.PACKED else name).suffix.lower()
    return next((kind for kind, endings in ENDINGS.items() if ending in endings), None)


def open_bilingual(path: str, data: DataConfig) -> Part:
    """The pairs of one file; its name says the format.

    Raises:
        UserError: the file cannot be read, its name says no format, or it lacks a language.
    """
    kind = format_of(path)
    if kind is None:
        raise UserError(f"{path}: its name ends with none of {FORMATS}: rename it, or leave it out")
    return _moses(path, data) if kind == "moses" else _marked(path, kind, data)


def _marked(path: str, kind: str, data: DataConfig) -> Part:
    """TMX or XLIFF. Units without text in both languages are left out, and counted on stderr."""
    digest, kinds, first = hashlib.sha256(), Counter[tuple[str, ...]](), ""
    for unit in units(path, kind, digest.update):
        kinds[tuple(unit.texts)] += 1
        first = first or unit.first
        if len(kinds) > LANGUAGES:
            raise UserError(f"{path}:{unit.line}: more than {LANGUAGES:,} combinations of languages: split the file")
    src, tgt = _sides(list(dict.fromkeys(code for codes in kinds for code in codes)), first, data, path)
    total, size = kinds.total(), sum(count for codes, count in kinds.items() if src in codes and tgt in codes)
    if not size:
        raise UserError(f"{path} is an empty corpus: none of its {total:,} units has both {src} and {tgt}")
    if size < total:
        print(f"{path}: {total - size:,} of {total:,} units have no translation and are left out", file=sys.stderr)

    def translated() -> Iterator[Pair]:
        for unit in units(path, kind):
            if src in unit.texts and tgt in unit.texts:
                yield unit.texts[src], unit.texts[tgt]

    return Part(
        path, size, f"{kind}/{READING}/{digest.hexdigest()}/{src}/{tgt}", lambda: unchanged(translated(), size, path)
    )


def _moses(path: str, data: DataConfig) -> Part:
    """A zip with NAME.xx-yy.xx and NAME.xx-yy.yy, line by line; other files in it are not read."""
    found: dict[str, dict[str, str]] = {}
    for name in streams.members(path):
        stem, _, code = name.rpartition(".")
        if re.search(rf"[._](?:{re.escape(code)}-[\w]+|[\w]+-{re.escape(code)})$", stem):
            found.setdefault(stem, {})[code] = name
    corpora = {stem: sides for stem, sides in found.items() if len(sides) == 2}
    if len(corpora) != 1:
        there = _listed(sorted(corpora)) or "none"
        raise UserError(f"{path}: one corpus is looked for, as NAME.xx-yy.xx and NAME.xx-yy.yy, but it holds {there}")
    [(stem, sides)] = corpora.items()
    order = sorted(sides, key=lambda code: not re.search(rf"[._]{re.escape(code)}-[\w]+$", stem))
    src, tgt = (Member(path, sides[code]) for code in _sides(order, order[0], data, path))
    return files.text_files(src, tgt)


def _sides(there: Sequence[str], first: str, data: DataConfig, where: str) -> tuple[str, str]:
    """The codes of source and target, as the file spells them; ``first``: its own source, "" if it names none."""
    src = _code(there, data.src_column, data.src, "src", where)
    tgt = _code(there, data.tgt_column, data.tgt, "tgt", where)
    if src is None and tgt is None and first in there and len(there) == 2:
        src = first
    if len(there) == 2 and None in (src, tgt) and (src or tgt):
        [other] = [code for code in there if code != (src or tgt)]
        src, tgt = src or other, tgt or other
    if src is None or tgt is None:
        raise UserError(f"{where} has {_listed(there)}: say with data.src and data.tgt which is which")
    if src == tgt:
        raise UserError(f"{where}: both sides are {src}; it has {_listed(there)}: set data.src and data.tgt")
    return src, tgt


def _code(there: Sequence[str], named: str | None, language: str | None, side: str, where: str) -> str | None:
    """The code in a file for a side: the one that is named, or the only one of the language; None if not asked."""
    wanted = named or language
    if wanted is None:
        return None
    exact = [code for code in there if _parts(code) == _parts(wanted)]
    if exact:
        return exact[0]
    fits = [] if named else [code for code in there if _is_same(code, wanted)]
    if len(fits) > 1:
        raise UserError(f"{where} has {_listed(fits)}: set data.{side}_column to one of them")
    if not fits and "" in there:  # an XLIFF file that does not say its target
        return ""
    if not fits:
        key = f"data.{side}_column" if named or any(_parts(code)[0] == _parts(wanted)[0] for code in there) else ""
        raise UserError(
            f"{where} has no {wanted}; it has {_listed(there) or 'no language'}: set {key or f'data.{side}'}"
        )
    return fits[0]


def _parts(code: str) -> list[str]:
    """A code in small letters: the language, and what follows, such as a region."""
    first, *more = re.split(r"[-_]", code.strip().casefold())
    return [Language.of(first).code, *more]


def _is_same(code: str, wanted: str) -> bool:
    """Whether two codes are one language, of which at most one says a region or script."""
    (one, *region), (other, *other_region) = _parts(code), _parts(wanted)
    return one == other and not (region and other_region)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(name or "one without a code" for name in names[:SHOWN]) + more
