"""A sentence splitter for MiniSBD, which Argos Translate runs: rules for punctuation as an ONNX graph without weights.

MiniSBD gives the graph a class for each character and takes the argmax of three logits for it: 0 within a sentence,
1 the end of a token, 2 the end of a sentence. The last character of a paragraph always ends a sentence there.
"""

from __future__ import annotations

import json
import unicodedata

import onnx
import onnx.parser

PAD, OTHER, SPACE, DOT, MARK, CLOSING, LOWER, UPPER, WIDE = range(9)
"""Classes of characters; ``UPPER``: capitals and digits, ``WIDE``: a mark that no space follows."""
CHARACTERS = {SPACE: " ", DOT: ".", MARK: "!?…‽।॥؟۔։።", CLOSING: "\"'”’»)]」』）】》〉］", WIDE: "。！？｡។။"}
CASED = range(0x21, 0x590)  # Latin, Greek, Cyrillic and Armenian letters
CONFIG = {
    "skip_newline": False,
    "max_seqlen": 1000,
    "no_ssplit": False,
    "batch_size": 32,
    "feat_funcs": ["end_of_para"],
}

_NEIGHBOURS = """
  around = Pad(units, widths)
  before3 = Slice(around, n0, n_3_5, axis)
  before2 = Slice(around, n1, n_2_5, axis)
  before1 = Slice(around, n2, n_1_5, axis)
  after1 = Slice(around, n4, n_1, axis)
  after2 = Slice(around, n5, n_0, axis)
"""
_GRAPH = f"""
<ir_version: 8, opset_import: ["" : 13], producer_name: "seq2seq-trainer">
splitter (int64[B, T] units, float[B, T, F] features) => (float[B, T, C] logits)
<int64[1] axis = {{1}}, int64[4] widths = {{0, 3, 0, 2}},
 int64[1] n0 = {{0}}, int64[1] n1 = {{1}}, int64[1] n2 = {{2}}, int64[1] n4 = {{4}}, int64[1] n5 = {{5}},
 int64[1] n_3_5 = {{-5}}, int64[1] n_2_5 = {{-4}}, int64[1] n_1_5 = {{-3}}, int64[1] n_1 = {{-1}},
 int64[1] n_0 = {{1000000}}, int64 pad = {{{PAD}}}, int64 space = {{{SPACE}}}, int64 dot = {{{DOT}}},
 int64 mark = {{{MARK}}}, int64 closing = {{{CLOSING}}}, int64 lower = {{{LOWER}}}, int64 upper = {{{UPPER}}},
 int64 wide = {{{WIDE}}}, int64 two = {{2}}, int64 three = {{3}}, float[2] values = {{0.0, 1.0}}>
{{{_NEIGHBOURS}
  space2 = Equal(before2, space)   start2 = Equal(before2, pad)   one = Or(space2, start2)
  space3 = Equal(before3, space)   start3 = Equal(before3, pad)   short = Or(space3, start3)
  capital = Equal(before2, upper)  two_signs = And(short, capital)   short_word = Or(one, two_signs)
  long_word = Not(short_word)      a_dot = Equal(units, dot)      full_stop = And(a_dot, long_word)
  a_mark = Equal(units, mark)      stop = Or(full_stop, a_mark)
  dot1 = Equal(before1, dot)       mark1 = Equal(before1, mark)   stop1 = Or(dot1, mark1)
  closes = Equal(units, closing)   closed = And(closes, stop1)    end = Or(stop, closed)
  spaced = Equal(after1, space)    goes_on = Equal(after2, lower) anew = Not(goes_on)
  room = And(spaced, anew)         apart = And(end, room)
  a_wide = Equal(units, wide)      wide1 = Equal(after1, wide)    closing1 = Equal(after1, closing)
  more = Or(wide1, closing1)       last = Not(more)               wide_end = And(a_wide, last)
  ends = Or(apart, wide_end)       number = Cast <to = 7> (ends)  chosen = Mul(number, two)
  logits = OneHot(chosen, three, values)
}}
"""


def splitter() -> bytes:
    """The ONNX file; always the same bytes for one version of onnx."""
    # The parser wants one statement a line.
    text = "\n".join(line.replace("   ", "\n").rstrip() for line in _GRAPH.splitlines())
    model = onnx.parser.parse_model(text)
    ids = {"<PAD>": PAD, "<UNK>": OTHER} | _classes()
    vocab = {"lang": "", "idx": 0, "cutoff": 0, "lower": False, "_unit2id": ids, "_id2unit": list(ids)}
    entries = {"lang_code": "xx", "config": json.dumps(CONFIG), "vocab": json.dumps(vocab), "lexicon": "null"}
    onnx.helper.set_model_props(model, entries)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _classes() -> dict[str, int]:
    """The class of each character that has one of its own."""
    kinds = {"Ll": LOWER, "Lu": UPPER, "Nd": UPPER}
    cased = {chr(n): kinds[kind] for n in CASED if (kind := unicodedata.category(chr(n))) in kinds}
    return cased | {character: kind for kind, characters in CHARACTERS.items() for character in characters}
