"""The language codes of a corpus, as its options give them. Knows options; reads no text. Imports nothing heavy."""

from __future__ import annotations

from typing import Optional


class Codes:
    """The codes of both sides, for ``DataConfig``."""

    source: str
    src: Optional[str]
    tgt: Optional[str]
    src_column: Optional[str]
    tgt_column: Optional[str]

    @property
    def codes(self) -> tuple[Optional[str], Optional[str]]:
        """Codes of the source and the target language, None where one is not known.

        In a table whose columns are not named they name the columns, which are ``en`` and ``de`` by default.
        """
        if self.source in ("text", "tsv"):
            return self.src, self.tgt
        src, tgt = (None if column else code for column, code in ((self.src_column, "en"), (self.tgt_column, "de")))
        return self.src or src, self.tgt or tgt

    @property
    def language(self) -> str:
        """Code of the target language for metrics, "" where it is not known."""
        return self.codes[1] or ""
