"""Translation units of TMX and XLIFF 1.2 and 2, read in a stream by expat. Knows elements; chooses no languages.

expat calls a function for each tag, so that nothing but the unit at hand is in memory and every error has its line. A
DOCTYPE is refused, and with it all entities. The text of a segment is its own and that of its marks (``hi``, ``g``,
``mrk``, ``pc``, …); what stands for the code of another format (``bpt``, ``ept``, ``ph``, ``it``, ``ut``, ``sub``) is
dropped. A line end, with the spaces around it, is a space, and there are none at the ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.parsers import expat

from seq2seq.data.files import LONGEST_LINE
from seq2seq.data.streams import Place, opened
from seq2seq.errors import UserError

CHUNK = 1 << 16  # bytes given to expat at once
DEEPEST = 100  # elements in each other
DROPPED = frozenset(("bpt", "ept", "ph", "it", "ut", "sub"))
UNTRANSLATED = ("new", "needs-translation", "initial")  # states of a target or, in XLIFF 2, of a segment
LINE_END = re.compile(r"(?<!\s)\s*[\r\n]\s*")  # looked for once in a run of spaces, not at each of them
CUT_SHORT = (
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
)


class Unit(NamedTuple):
    """One translation unit."""

    line: int  # of the file, at which it begins
    texts: dict[str, str]  # by the code of the language, as the file spells it; "" where it has none
    first: str  # the code of the language that the file calls the source, "" where it calls none


def units(place: Place, kind: str, watch: Callable[[bytes], object] = lambda chunk: None) -> Iterator[Unit]:
    """The units of a file of the kind ``tmx`` or ``xliff``; ``watch`` is given its bytes.

    Raises:
        UserError: the file cannot be read, is cut short or no such file, or holds a DOCTYPE; with the line.
    """
    reader = KINDS[kind](str(place))
    with opened(place) as stream:
        while True:
            chunk = stream.read(CHUNK)
            watch(chunk)
            reader.read(chunk)
            yield from reader.found
            reader.found.clear()
            if not chunk:
                return


class _Reader:
    """What the two formats share: the elements that are open, and the text of the one that is collected."""

    root = ""

    def __init__(self, where: str) -> None:
        self.where = where
        self.found: list[Unit] = []
        self.count = self.size = 0  # units so far; bytes given to expat
        self.open: list[str] = []  # names of the elements around the place
        self.unit: Unit | None = None
        self.text: list[str] | None = None
        self.base = self.hidden = self.length = 0  # depth of the collected element; of what is dropped; characters
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype

    def read(self, chunk: bytes) -> None:
        """Read on; an empty chunk is the end."""
        try:
            self.parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            raise self._broken(error, chunk) from error
        except (LookupError, ValueError, TypeError) as error:  # of an encoding that Python does not know, or not here
            raise self.error(f"{error}: convert the file to UTF-8") from error
        self.size += len(chunk)
        if self.size - max(self.parser.CurrentByteIndex, 0) > LONGEST_LINE:
            raise self.error(f"a tag of more than {LONGEST_LINE:,} bytes: leave it out")

    def error(self, what: str, line: int | None = None) -> UserError:
        """An error at the place of the reader."""
        return UserError(f"{self.where}:{line or self.parser.CurrentLineNumber}: {what}")

    def collect(self) -> None:
        """Collect the text of the element that begins."""
        self.text, self.base, self.hidden, self.length = [], len(self.open), 0, 0

    def starts(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins that is not inside a collected one."""

    def ends(self, name: str) -> None:
        """An element ends that is neither collected nor inside a collected one."""

    def collected(self, text: str) -> None:
        """The text of a collected element."""

    def _broken(self, error: expat.ExpatError, chunk: bytes) -> UserError:
        after = f"after {self.count:,} units"
        if error.code in CUT_SHORT and not chunk:
            if not self.size:
                return UserError(f"{self.where} is an empty corpus: it holds no pairs")
            return self.error(f"the file ends in the middle, {after}: get it whole", error.lineno)
        place = self.parser.ErrorByteIndex - self.size
        if 0 <= place < len(chunk) and chunk[place] < 0x20:
            what = f"a control character (0x{chunk[place]:02x}), which XML cannot hold"
        else:
            what = expat.ErrorString(error.code)
        return self.error(f"{what}, {after}: mend the line", error.lineno)

    def _doctype(self, *_: object) -> None:
        raise self.error("a DOCTYPE, which may define entities and is not read: remove it")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if not self.open and name != self.root:
            raise self.error(f"not {self.root.upper()}, whose first element is <{self.root}>, not <{name[:40]}>")
        if len(self.open) == DEEPEST:
            raise self.error(f"more than {DEEPEST} elements in each other: leave out what is no text")
        self.open.append(name)
        if self.text is None:
            self.starts(name, attributes)
        elif self.hidden or name in DROPPED:
            self.hidden += 1

    def _end(self, name: str) -> None:
        depth = len(self.open)
        name = self.open.pop()
        if self.text is None:
            self.ends(name)
        elif self.hidden:
            self.hidden -= 1
        elif depth == self.base:
            text, self.text = "".join(self.text), None
            self.collected(LINE_END.sub(" ", text).strip())

    def _characters(self, text: str) -> None:
        if self.text is None or self.hidden:
            return
        self.length += len(text)
        if self.length > LONGEST_LINE:
            raise self.error(f"the text is longer than {LONGEST_LINE:,} characters: split it, or leave it out")
        self.text.append(text)

    def begin(self, first: str) -> None:
        """Begin a unit."""
        self.unit = Unit(self.parser.CurrentLineNumber, {}, first)

    def finish(self) -> None:
        """The unit is whole."""
        if self.unit is not None:
            self.found.append(self.unit)
            self.count += 1
        self.unit = None


class _Tmx(_Reader):
    """TMX 1.1 to 1.4: ``tu`` holds a ``tuv`` for each language, with its text in ``seg``."""

    root = "tmx"
    header = first = code = ""

    def starts(self, name: str, attributes: dict[str, str]) -> None:
        """See ``_Reader``."""
        if name == "header":
            self.header = attributes.get("srclang", "").replace("*all*", "")
        elif name == "tu":
            self.first = attributes.get("srclang", self.header).replace("*all*", "")
            self.begin(self.first)
        elif name == "tuv":
            self.code = attributes.get("xml:lang") or attributes.get("lang") or self.first
        elif name == "seg" and self.unit is not None and self.open[-2] == "tuv":
            self.collect()

    def ends(self, name: str) -> None:
        """See ``_Reader``."""
        if name == "tu":
            self.finish()

    def collected(self, text: str) -> None:
        """The first ``tuv`` of a language that has text counts."""
        if self.unit is not None and text:
            self.unit.texts.setdefault(self.code, text)


class _Xliff(_Reader):
    """XLIFF 1.2 (``trans-unit``) and 2 (``segment``), with ``source`` and ``target`` directly in them."""

    root = "xliff"
    src = tgt = src_of_all = tgt_of_all = ""
    is_target = untranslated = False

    def starts(self, name: str, attributes: dict[str, str]) -> None:
        """See ``_Reader``."""
        if name == "xliff":
            self.src_of_all, self.tgt_of_all = attributes.get("srcLang", ""), attributes.get("trgLang", "")
        elif name == "file":
            self.src = attributes.get("source-language", self.src_of_all)
            self.tgt = attributes.get("target-language", self.tgt_of_all)
        elif name in ("trans-unit", "segment"):
            self.begin(self.src)
            self.untranslated = attributes.get("state") in UNTRANSLATED
        elif name in ("source", "target") and self.unit and self.open[-2] in ("trans-unit", "segment"):
            self.is_target = name == "target"
            self.untranslated |= self.is_target and attributes.get("state") in UNTRANSLATED
            self.collect()

    def ends(self, name: str) -> None:
        """See ``_Reader``."""
        if name in ("trans-unit", "segment"):
            self.finish()

    def collected(self, text: str) -> None:
        """An empty source or target is none."""
        if self.unit is not None and text and not (self.is_target and self.untranslated):
            self.unit.texts.setdefault(self.tgt if self.is_target else self.src, text)


KINDS: dict[str, type[_Reader]] = {"tmx": _Tmx, "xliff": _Xliff}
