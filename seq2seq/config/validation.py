"""Checks of the options: types, ranges, combinations, and the nearest name for a mistyped key.

Knows the schema; imports neither torch nor datasets, so that a typo is reported within two seconds.
"""

from __future__ import annotations

import dataclasses
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from seq2seq.config.schema import (
    DECODERS,
    ENCODERS,
    AttentionDecoderConfig,
    Config,
    DataConfig,
    DecoderConfig,
    EncoderConfig,
    FixedContextDecoderConfig,
    RecurrentEncoderConfig,
    SplitConfig,
    TrainerConfig,
    TransformerOptions,
)
from seq2seq.errors import UserError, nearest

LONGEST_SYMBOL = 100  # of data.subwords.keep, in characters
FILES, SPLITS = "Any", "dict[str, SplitConfig]"
"""The types of fields for which OmegaConf has no check: a path or a list of paths, and sections by name."""
NEEDED = {"Integer": "a whole number is needed", "Float": "a number is needed", "bool": "true or false is needed"}
OF_ANOTHER_TYPE = re.compile(
    r"Value '(?P<value>.*)' (?:of type '\w+' could not be converted to|is not a valid) (?P<type>Integer|Float|bool)\b",
    re.DOTALL,
)
"""OmegaConf's words for a value of another type than its option has; what is said instead is in ``NEEDED``."""


def sections(node: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    """Every option below ``node`` as (dotted key, field, value), depth first."""
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if dataclasses.is_dataclass(value):
            yield from sections(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", f, value


def every_option() -> Iterator[tuple[str, Mapping[str, Any], Any, str]]:
    """Every option as (dotted key, metadata, default, type of the encoder or decoder that has it, else ``""``)."""
    general = {key: (f.metadata, value) for key, f, value in sections(Config()) if f.metadata}
    yield from ((key, metadata, value, "") for key, (metadata, value) in general.items())
    for part, kinds in (("encoder", ENCODERS), ("decoder", DECODERS)):
        for name, kind in kinds.items():
            own = ((key, f.metadata, value, name) for key, f, value in sections(kind(), f"model.{part}."))
            yield from (option for option in own if option[0] not in general)


def known_keys() -> list[str]:
    """Every dotted key of the schema, sections included, for all encoders and decoders."""
    keys = {key for key, *_ in every_option()}
    return sorted(keys | {key.rsplit(".", n)[0] for key in keys for n in range(1, key.count(".") + 1)})


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Each key by as many of its last components as tell it from the others."""
    short = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        others = [other for other in keys if other != key]
        short[key] = next(end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others))
    return short


def canonical(key: str) -> str:
    """The key of the schema for a key that is typed: below ``data.tests.NAME`` are the keys of ``data.test``."""
    return re.sub(r"^data\.tests\.[^.]+(?=\.)", "data.test", key)


def validate(config: Config, trained: bool = False) -> Config:
    """Check ranges, choices and combinations of options; return ``config``. A ``trained`` run may also sample.

    Raises:
        UserError: names the first impossible key, its value, and the possible values.
    """
    within_limits(config, more={"data.split": config.data.tests})
    for contradiction in _contradictions(config):
        raise UserError(contradiction)  # the first
    if config.decode.sample and not trained:
        raise UserError("decode.sample=true has no place in a training run: give it to evaluate or translate")
    return config


def within_limits(node: Any, prefix: str = "", more: Mapping[str, Iterable[str]] | None = None) -> None:
    """Check every option below ``node`` against its limits; ``more`` choices by key. Raises ``UserError``."""
    for key, f, value in sections(node, prefix):
        limits = f.metadata
        if value is None or not limits:
            continue
        if isinstance(value, list) and any(isinstance(each, (list, dict)) for each in value):  # OmegaConf takes them
            raise UserError(f"{key}={value} is not possible: give one list, [a,b], without lists in it")
        choices = [*limits["choices"], *(more or {}).get(key, ())]
        for each in value if isinstance(value, list) else [value]:
            if choices and each not in choices:
                hint = nearest(str(each), choices)
                raise UserError(f"{key}={each} is not possible: choose one of {', '.join(choices)}{hint}")
            _within(key, each, limits)


def _within(key: str, value: Any, limits: Mapping[str, Any]) -> None:
    """Check one value. Raises ``UserError``."""
    if limits["low"] is not None and not value >= limits["low"]:
        raise UserError(f"{key}={value} is too small: the smallest value is {limits['low']} ({limits['help']})")
    if limits["above"] is not None and not value > limits["above"]:
        raise UserError(f"{key}={value} is too small: it must be above {limits['above']} ({limits['help']})")
    if limits["high"] is not None and not value <= limits["high"]:
        raise UserError(f"{key}={value} is too large: the largest value is {limits['high']} ({limits['help']})")
    if isinstance(value, int) and value >= 1 << 63:
        raise UserError(f"{key} is a number of more than 64 bits: give a smaller one ({limits['help']})")
    if isinstance(value, int) and value >= 1 << 31 and not key.endswith(("seed", "max_tokens")):
        raise UserError(f"{key}={value} is too large: the largest value is {(1 << 31) - 1} ({limits['help']})")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key}={value} is not possible: give a finite number ({limits['help']})")


def _contradictions(config: Config) -> Iterator[str]:
    """The options that do not fit together, in the words of an error."""
    yield from _contradictions_of_data(config.data)
    model, trainer, decode, grammar = config.model, config.trainer, config.decode, config.data.grammar
    longest = config.data.filters.max_length
    yield from _contradictions_of_states(model.encoder, model.decoder)
    for part, options in (("model.encoder", model.encoder), ("model.decoder", model.decoder)):
        if not isinstance(options, TransformerOptions):
            continue
        width, heads, positions = options.width, options.heads, options.max_positions
        if width % heads:
            yield f"{part}.heads={heads} does not divide {part}.width={width}: choose a number of heads that does"
        elif options.positions == "rotary" and width // heads % 2:
            units = f"{part}.heads={heads} gives a head {width // heads}"
            yield f"{part}.positions=rotary turns pairs of units, and {units}: choose heads so that it is even"
        if options.positions == "learned" and positions < longest:
            short = f"{part}.max_positions={positions} is below data.filters.max_length={longest}"
            yield f"{short}: raise the one or lower the other"
        if width != model.embedding:
            differs = f"{part}.width={width} differs from model.embedding={model.embedding}"
            yield f"{differs}: a Transformer adds its layers to the embedding, so make them equal"
    decoder = model.decoder
    if isinstance(decoder, AttentionDecoderConfig) and decoder.score == "dot":
        states = model.encoder.output_width
        if decoder.width != states:
            needs = f"model.decoder.score=dot needs model.decoder.width={states}, the encoder's output width"
            yield f"{needs}, not {decoder.width}: change it, or take score=general"
    if isinstance(decoder, AttentionDecoderConfig) and decoder.score == "uniform" and decoder.order == "after":
        yield "model.decoder.order=after makes no difference with model.decoder.score=uniform: leave it out"
    if model.tie == "all" and not config.data.subwords.joint:
        yield "model.tie=all needs one vocabulary: set data.subwords.joint=true or model.tie=output"
    if longest > trainer.batch_tokens:
        batch = f"a batch of trainer.batch_tokens={trainer.batch_tokens}: lower the one or raise the other"
        yield f"data.filters.max_length={longest} does not fit into {batch}"
    if trainer.guided_attention:
        yield from _contradictions_of_guidance(config)
    if trainer.shard and trainer.optimizer.name == "muon":
        yield "trainer.shard=true keeps no matrix whole, as trainer.optimizer.name=muon needs: change one of the two"
    if trainer.compile and trainer.shard:
        yield "trainer.compile=true and trainer.shard=true do not go together: leave one of them out"
    if grammar.min_words > grammar.max_words:
        yield f"data.grammar.min_words={grammar.min_words} is above data.grammar.max_words={grammar.max_words}"
    if not decode.sample and decode.nbest > decode.beam:
        yield f"decode.nbest={decode.nbest} is above decode.beam={decode.beam}: raise the beam"


def _contradictions_of_states(encoder: EncoderConfig, decoder: DecoderConfig) -> Iterator[str]:
    """What an encoder gives that its decoder cannot read."""
    if encoder.slots and not encoder.reads_source:
        yield f"model.encoder.slots={encoder.slots} has no source to read: leave it out, or take another encoder"
    if not (isinstance(decoder, FixedContextDecoderConfig) and decoder.needs_final_states):
        return
    needs = "model.decoder.context=final_states needs"
    if not isinstance(encoder, RecurrentEncoderConfig):
        yield f"{needs} a recurrent encoder, not model.encoder.type={encoder.type}: take another context"
        return
    for key in ("cell", "width", "layers"):
        ours, theirs = getattr(decoder, key), getattr(encoder, key)
        if ours != theirs:
            yield f"{needs} model.encoder.{key}={ours}, which the decoder has, not {theirs}: make them equal"
    if encoder.bidirectional:
        yield f"{needs} an encoder in one direction: set model.encoder.bidirectional=false"
    if encoder.slots:
        yield f"{needs} the encoder's own states, not model.encoder.slots={encoder.slots}: leave one out"


def _contradictions_of_guidance(config: Config) -> Iterator[str]:
    """What ``trainer.guided_attention`` cannot go with."""
    data, key = config.data, "trainer.guided_attention"
    if config.model.sees != "positions":
        yield f"{key} trains attention over source positions, which model {config.model.name} has not: leave it out"
    if data.source != "grammar":
        needs = f"{key} needs gold alignments of the training pairs, which data.source={data.source} has not"
        yield f"{needs}: leave it out, or train on the grammar"
    if data.subwords.sampling:
        yield f"{key} and data.subwords.sampling do not go together: links are of one segmentation"
    if data.joins_training:
        yield f"{key} and data.join do not go together: alignments are of single pairs (data.join_training=false)"
    if data.filters.drop:
        yield f"{key} and data.filters.drop do not go together: alignments are by lines, which it leaves out"
    if config.trainer.compile:
        yield f"{key} and trainer.compile=true do not go together: leave one of them out"


def check_compiled_on(trainer: TrainerConfig, device: str) -> None:
    """Raise ``UserError`` if a step is to be compiled for a ``device`` that is known and is no GPU with CUDA."""
    if trainer.compile and device not in ("cuda", "auto"):
        raise UserError(f"trainer.compile=true needs a GPU with CUDA, not device={device}: leave it out")


def _contradictions_of_data(data: DataConfig) -> Iterator[str]:
    for name in data.tests:
        if not re.fullmatch(r"\w+", name) or name in ("train", "valid", "test"):
            yield f"data.tests.{name}: no name for a test set: take letters, digits and _, but not train, valid, test"
    if data.join is not None:
        yield from _contradictions_of_joins(data, data.join)
    if data.weights and data.take:
        yield "data.weights and data.take do not go together: leave data.take out, and lower a weight"
    symbols = data.subwords.keep
    for symbol in symbols:
        if not symbol or re.search(r"[\s▁▅]", symbol) or len(symbol) > LONGEST_SYMBOL:
            yield f"data.subwords.keep has {symbol!r}: give 1 to {LONGEST_SYMBOL} signs without spaces, ▁ or ▅"
        if re.fullmatch(r"<(pad|unk|s|/s|0x[0-9A-F]{2})>", symbol):
            yield f"data.subwords.keep has {symbol}, which is a subword of SentencePiece's own: choose another"
    if len({unicodedata.normalize("NFC", symbol) for symbol in symbols}) < len(symbols):
        yield f"data.subwords.keep={symbols} has one symbol twice: leave one out"


def _contradictions_of_joins(data: DataConfig, most: int) -> Iterator[str]:
    """What ``data.join`` does not go together with."""
    if data.is_streamed:
        yield f"data.join={most} needs whole splits: leave data.hub.streaming out"
    if data.source == "grammar":
        yield f"data.join={most}: the embedded corpus has sentences of every length: set data.grammar.max_words"
    if data.joins_training and most >= data.filters.max_length:
        short = f"data.join={most} words, each a token or more, do not fit into data.filters.max_length"
        yield f"{short}={data.filters.max_length}: raise the one or lower the other"


def to_plain(config: Config) -> dict[str, Any]:
    """The config as nested dictionaries of plain values, as it is saved with a run."""
    return dataclasses.asdict(config)


def from_plain(plain: Mapping[str, Any], where: str, trained: bool = False) -> Config:
    """The typed config of nested plain dictionaries, from a saved run or from Hydra.

    Interpolations such as ``${oc.env:HOME}`` are refused, since a run folder may come from somebody else.

    Raises:
        UserError: unknown key (with the nearest name), wrong type, missing or impossible value; it names ``where``.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if "${" in str(plain):
        raise UserError(f"{where}: interpolations (${{…}}) are not allowed in a saved config")
    _check_sections(plain, Config(), where)
    schema = _structured(_part(plain, "encoder", ENCODERS, where), _part(plain, "decoder", DECODERS, where))
    try:
        config = OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.create(dict(plain))))
    except OmegaConfBaseException as error:
        raise UserError(f"{where}: {explain(error)}") from error
    assert isinstance(config, Config)
    return validate(config, trained)


@cache
def _structured(encoder: type, decoder: type) -> Any:
    """The schema of such a model in OmegaConf's form, which takes longer to make than all else that reads a config."""
    from omegaconf import OmegaConf

    schema = Config()
    schema.model.encoder, schema.model.decoder = encoder(), decoder()
    return OmegaConf.structured(schema)


def _check_sections(plain: Any, schema: Any, where: str, prefix: str = "") -> None:
    """Raise ``UserError`` for a plain value in place of a section."""
    if not isinstance(plain, Mapping):
        first = dataclasses.fields(schema)[0].name
        raise UserError(f"{where}: {prefix[:-1] or 'this'} must be a section of keys, as in {prefix}{first}")
    for f in dataclasses.fields(schema):
        section = getattr(schema, f.name)
        if dataclasses.is_dataclass(section) and f.name in plain:
            _check_sections(plain[f.name], section, where, f"{prefix}{f.name}.")
        elif f.type == FILES and f.name in plain:
            _check_files(plain[f.name], f"{where}: {prefix}{f.name}")
        elif f.type == SPLITS and f.name in plain:
            if not isinstance(plain[f.name], Mapping):
                raise UserError(
                    f"{where}: {prefix}{f.name} must be a section of names, as in {prefix}{f.name}.NAME.src"
                )
            for name, split in plain[f.name].items():
                _check_sections(split, SplitConfig(), where, f"{prefix}{f.name}.{name}.")


def _check_files(value: Any, key: str) -> None:
    """Raise ``UserError`` unless ``value`` is None, a path, or a list of paths."""
    files = value if isinstance(value, list) else [value]
    if value is not None and not (files and all(isinstance(each, str) for each in files)):
        raise UserError(f"{key}={value} names no file: give a path, a pattern such as 'corpus/*.en', or [a.en,b.en]")


def _part(plain: Mapping[str, Any], part: str, kinds: Mapping[str, Any], where: str) -> Any:
    """The options class of an encoder or decoder, by its type."""
    options = plain.get("model", {}).get(part)
    kind = options.get("type") if isinstance(options, Mapping) else None
    if not isinstance(kind, str) or kind not in kinds:
        hint = nearest(str(kind), list(kinds))
        raise UserError(f"{where}: model.{part}.type={kind} is not one of {', '.join(kinds)}{hint}")
    return kinds[kind]


def _first_of(key: str) -> str:
    """The first option of the group ``key``."""
    return next((name for name in known_keys() if name.startswith(f"{key}.")), f"{key}.…")


def explain(error: Any) -> str:
    """One line for an error of OmegaConf: the key, the reason, and the nearest known key."""
    key = getattr(error, "full_key", None) or ""
    whole = str(getattr(error, "msg", None) or error)
    message = whole.split("\n")[0].strip()
    if "not in struct" in message or "not in '" in message or type(error).__name__ == "ConfigKeyError":
        known = known_keys()
        if key in known:
            return f"{key} is no option of the model that was chosen: take another model, or leave it out"
        return f"unknown key {key}{nearest(key, known)}"
    if "annot merge DictConfig with ListConfig" in message:
        return f"{key} is a group of options, not a list: give lists to its options, such as {_first_of(key)}=[…,…]"
    if "Missing mandatory value" in message:
        return f"{key} has no value: set it"
    return reworded(key, whole)


def reworded(key: str, message: str) -> str:
    """What OmegaConf says of a value that does not fit the type of the option ``key``, in our words and one line."""
    if found := OF_ANOTHER_TYPE.match(message):
        value = " ".join(found["value"].split())
        return f"{key}={value.lower() if value in ('True', 'False') else value[:80]}: {NEEDED[found['type']]}"
    if re.search(r"not a subclass of|annot assign \w+ to Dict", message) or _first_of(key) in known_keys():
        return f"{key} is a group of options, not a value: give its options, such as {_first_of(key)}=…"
    if "is not Optional" in message or message.startswith("Incompatible value 'None'"):
        return f"{key}=null: a value is needed"
    if re.match(r"Cannot convert '\w+' to string", message):
        return f"{key}: text is needed, not a list or a section"
    if "is not a ListConfig" in message:
        return f"{key}: a list is needed, as in {key}=[…,…]"
    line = message.split("\n")[0].strip()
    return f"{key + ': ' if key else ''}{line[:1].lower()}{line[1:]}"
