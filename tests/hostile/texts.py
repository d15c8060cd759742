"""Hostile text at the doors of translate, evaluate, score and align, and hostile arguments of every verb."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from tests.hostile.cases import Case, put

LONG = "ab " * 300  # longer than every sentence of the corpus, within the search's reach
STDIN: dict[str, tuple[bytes, tuple[str, ...], int]] = {
    "nothing": (b"", (), 0),
    "an empty line": (b"\n", (), 0),
    "a blank line": (b" \t \n", (), 0),
    "no line end": (b"ab ca", (), 0),
    "Windows line ends": (b"ab\r\nca\r\n", (), 0),
    "NUL": (b"a\0b\n\0\n", (), 0),
    "control characters": (bytes(range(1, 10)) + b"\n", (), 0),
    "unknown letters": ("日本語 👩‍🚀 \u202e\n".encode(), (), 0),
    "marks of the model": (b"<s> </s> <pad> <unk>\n", (), 0),
    "a byte order mark": (b"\xef\xbb\xbfab\n", (), 0),
    "a long line": (LONG.encode(), (), 0),
    "many empty lines": (b"\n" * 5_000, (), 0),
    "not UTF-8": (b"ab\n\xff\n", ("standard input:2: not UTF-8",), 2),
    "a surrogate": (b"\xed\xa0\x80\n", ("standard input:1: not UTF-8",), 2),
    "a character cut off": (b"ab\n\xe2\x82", ("standard input:2: not UTF-8",), 2),
    "UTF-16": ("ab\n".encode("utf-16"), ("standard input:1: not UTF-8",), 2),
    "gz": (gzip.compress(b"ab\n"), ("standard input:1: not UTF-8",), 2),
}

HYP: dict[str, tuple[bytes | None, tuple[str, ...]]] = {
    "missing": (None, ("own.txt: no such file",)),
    "empty": (b"", ("own.txt is an empty corpus",)),
    "a line less": (b"a\n" * 17, ("own.txt has 17 lines but",)),
    "a line more": (b"a\n" * 19, ("own.txt has 19 lines but",)),
    "one line": (b"a", ("own.txt has 1 lines but",)),
    "not UTF-8": (b"a\n" * 9 + b"\xff\n" + b"a\n" * 8, ("own.txt:10: not UTF-8",)),
    "UTF-16": (("a\n" * 18).encode("utf-16"), ("own.txt:1: not UTF-8",)),
    "garbage": (b"\x00\xff\xfe" * 99, ("own.txt:1: not UTF-8",)),
}
LEGAL: dict[str, bytes] = {
    "empty lines": b"\n" * 18,
    "NUL": b"a\0b\n" * 18,
    "control characters": b"\x01\x1b[31m\x7f\n" * 18,
    "line separators": "a\u2028b\u0085\n".encode() * 18,
    "punctuation": b". , ; !\n" * 18,
    "a long line": b"a\n" * 17 + b"ab " * 3_000 + b"\n",
    "marks": ("e" + "\u0301" * 500 + "\n").encode() * 18,
}

GOLD: dict[str, tuple[bytes | None, tuple[str, ...]]] = {
    "missing": (None, ("own.gold: no such file",)),
    "empty": (b"", ("own.gold is an empty corpus",)),
    "empty lines": (b"\n" * 18, ("own.gold holds no link",)),
    "a line less": (b"0-0\n" * 17, ("own.gold has 17 lines but there are 18",)),
    "a line more": (b"0-0\n" * 19, ("own.gold has 19 lines but there are 18",)),
    "words": (b"a-b\n" * 18, ("own.gold:1: a-b is no link",)),
    "half a link": (b"0-\n" * 18, ("own.gold:1: 0- is no link",)),
    "three numbers": (b"0-0-0\n" * 18, ("own.gold:1: 0-0-0 is no link",)),
    "a negative number": (b"-1-0\n" * 18, ("own.gold:1: -1-0 is no link",)),
    "a fraction": (b"0.5-0\n" * 18, ("own.gold:1: 0.5-0 is no link",)),
    "another sign": (b"0:0\n" * 18, ("own.gold:1: 0:0 is no link",)),
    "a comma": (b"0-0,1-1\n" * 18, ("own.gold:1: 0-0,1-1 is no link",)),
    "digits of another script": ("٠-٠\n".encode() * 18, ("own.gold:1: ٠-٠ is no link",)),
    "too far": (b"0-0\n" * 17 + b"0-99\n", ("own.gold:18: 0-99 points beyond",)),
    "much too far": (b"0-1" + b"0" * 30 + b"\n" + b"0-0\n" * 17, ("own.gold:1: ", "is no link")),
    "a number of thousands of digits": (b"0-" + b"9" * 5_000 + b"\n" + b"0-0\n" * 17, ("own.gold:1: ",)),
    "not UTF-8": (b"0-0\n\xff\n" + b"0-0\n" * 16, ("own.gold:2: not UTF-8",)),
    "NUL": (b"0-0\0\n" * 18, ("own.gold:1: ", "is no link")),
    "JSON": (b"[[0, 0]]\n" * 18, ("own.gold:1: [[0, is no link",)),
}

VERBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "an unknown verb": ("trian", ("unknown verb trian; did you mean train?",)),
    "an empty verb": ("''", ("unknown verb",)),
    "a flag for a verb": ("--runs", ("unknown verb --runs",)),
    "translate nothing": ("translate", ("give a run folder",)),
    "translate with an empty name": ("translate ''", (".: not a run folder",)),
    "translate a folder": ("translate runs", ("not a run folder",)),
    "translate a file": ("translate train.src", ("no run folder and no checkpoint",)),
    "translate from nowhere": ("translate runs/lstm --in nowhere", ("nowhere: no such file",)),
    "translate a folder's text": ("translate runs/lstm --in runs", ("runs is a folder",)),
    "translate into a folder": ("translate runs/lstm --in test.src --out runs", ("--out runs is a folder",)),
    "translate below a file": ("translate runs/lstm --in test.src --out test.src/x", ("cannot be written",)),
    "translate with no file named": ("translate runs/lstm --in", ("expected one argument",)),
    "translate from a name that is too long": (f"translate runs/lstm --in {'x' * 5_000}", ("x",)),
    "an ensemble with nothing": ("translate runs/lstm nowhere --in test.src", ("nowhere",)),
    "a beam of text": ("translate runs/lstm decode.beam=wide --in test.src", ("decode.beam",)),
    "a beam of nothing": ("translate runs/lstm decode.beam= --in test.src", ("decode.beam",)),
    "an absurd beam": (f"translate runs/lstm decode.beam=1{'0' * 30} --in test.src", ("decode.beam",)),
    "an option of training": ("translate runs/lstm model.dropout=0.1 --in test.src", ("cannot be changed",)),
    "a wrong device": ("translate runs/lstm device=tpu --in test.src", ("device=tpu",)),
    "evaluate nothing": ("evaluate", ("give a run folder",)),
    "evaluate half of the files": ("evaluate runs/lstm --src test.src", ("belong together",)),
    "evaluate other lengths": ("evaluate runs/lstm --src test.src --ref runs/lstm/config.yaml", ("test.src has 18",)),
    "evaluate an unknown split": ("evaluate runs/lstm data.split=tset", ("data.split=tset",)),
    "evaluate below a file": ("evaluate runs/lstm --out test.src/x", ("cannot be written",)),
    "align a model without attention": ("align runs/lstm", ("there is nothing to align",)),
    "align two": ("align runs/bahdanau runs/transformer", ("give one run",)),
    "align by a map that is not there": ("align runs/bahdanau --map 9", ("the model has maps 1 to 1",)),
    "align by a map of text": ("align runs/bahdanau --map x", ("--map",)),
    "align one-based with no gold": ("align runs/bahdanau --one-based", ("give --gold FILE",)),
    "score nothing": ("score --ref test.tgt", ("required",)),
    "score without references": ("score test.tgt", ("--ref",)),
    "score one name twice": ("score a=test.tgt a=test.src --ref test.tgt", ("two systems are called a",)),
    "score one file twice": ("score a=test.tgt,test.tgt --ref test.tgt", ("one file stands for two seeds",)),
    "score no file": ("score a= --ref test.tgt", ("give NAME=FILE",)),
    "score buckets of text": ("score test.tgt --ref test.tgt --src test.src --buckets a,b", ("--buckets a,b",)),
    "score falling buckets": ("score test.tgt --ref test.tgt --src test.src --buckets 9,3", ("--buckets 9,3",)),
    "score a bucket of thousands of digits": (
        f"score test.tgt --ref test.tgt --src test.src --buckets {'9' * 5_000}",
        ("--buckets",),
    ),
    "score a folder": ("score runs --ref test.tgt", ("runs is a folder",)),
    "export for nobody": ("export runs/transformer --to nobody", ("--to nobody is not one of",)),
    "export in an unknown type": (
        "export runs/transformer --to ctranslate2 --quantization int3",
        ("--quantization int3 is not one of",),
    ),
    "export another model": ("export runs/lstm --to ctranslate2", ("has no recurrent layers",)),
    "export onto a file": ("export runs/transformer --to ctranslate2 --out test.src", ("test.src exists",)),
    "export below a file": ("export runs/transformer --to ctranslate2 --out test.src/x", ("test.src",)),
    "report nothing": ("report", ("required",)),
    "report no run": ("report train.src", ("no run folder",)),
    "report a run that is cut": ("report runs/cut runs/lstm", ("not finished",)),
    "report one run twice": ("report runs/lstm runs/lstm --out page", ("two runs with the same seed",)),
    "report buckets of text": ("report runs/lstm runs/bahdanau --buckets x", ("--buckets x",)),
    "compare an unknown study": ("compare study=nobodys", ("unknown study nobodys",)),
    "compare with no sign": ("compare seeds", ("give key=value",)),
    "compare seeds of text": ("compare study=smoke seeds=[a]", ("seeds",)),
    "compare no seeds": ("compare study=smoke seeds=[]", ("must not be empty",)),
    "compare seeds twice": ("compare study=smoke seeds=[1,1]", ("the same twice",)),
    "compare no workers": ("compare study=smoke workers=0", ("workers=0 is too small",)),
}


def texts() -> Iterator[Case]:
    """Standard input, hypotheses, references, alignments, and arguments."""
    for name, (content, says, code) in STDIN.items():
        yield Case(f"stdin: {name}", "translate runs/bahdanau", says=says, code=code, stdin=content)
        if code == 0 and content:
            door = "translate runs/transformer --in own.txt --out own.out"
            yield Case(f"translate --in: {name}", door, put("own.txt", content), code=0, slow=True)
    for name, (content, says) in HYP.items():
        harm = put("own.txt", content) if content is not None else (lambda folder: None)
        for place, door in {
            "hypothesis": "score own.txt --ref test.tgt",
            "second hypothesis": "score a=test.tgt b=own.txt --ref test.tgt",
            "source": "score test.tgt --ref test.tgt --src own.txt",
            "reference": "evaluate runs/bahdanau --src test.src --ref own.txt",
        }.items():
            told = ("own.txt", "test.src") if place == "reference" and "lines but" in says[0] else says
            yield Case(f"{place}: {name}", door, harm, told)
    for name, content in LEGAL.items():
        yield Case(f"hypothesis: {name}", "score own.txt --ref test.tgt", put("own.txt", content), code=0)
        yield Case(f"reference: {name}", "score test.tgt --ref own.txt", put("own.txt", content), code=0)
        door = "evaluate runs/bahdanau --src test.src --ref own.txt --out scores"
        yield Case(f"evaluate: reference: {name}", door, put("own.txt", content), code=0, slow=True)
    for name, (content, says) in GOLD.items():
        harm = put("own.gold", content) if content is not None else (lambda folder: None)
        yield Case(f"alignment: {name}", "align runs/bahdanau --gold own.gold", harm, says)
    for name, (door, says) in VERBS.items():
        yield Case(f"verb: {name}", door, says=says)
