"""Tables read through Hugging Face ``datasets``: CSV, JSONL and Parquet files, and repositories of the hub.

Knows columns, configurations, commits and the cache; knows no hold-outs and no subwords. ``datasets`` (4 s to import)
and ``huggingface_hub`` are imported inside functions, after the checks that need neither.

Without a network, the offline mode of ``datasets`` would take the newest cached copy of a repository, whatever its
revision. So a record of our own, for each repository, configuration and revision, names the commit and its files.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from seq2seq.config.schema import DataConfig, HubConfig
from seq2seq.data.files import Pair, Part
from seq2seq.data.revisions import asked_for
from seq2seq.errors import UserError
from seq2seq.system.files import refuse_full_disk, refuse_too_many_open, write_json

Column = tuple[str, ...]  # ("de",), or ("translation", "de") inside a column of dictionaries

TEXT = ("string", "large_string")
DEFAULT_SPLITS = {"train": "train", "valid": "validation", "test": "test"}
BATCH = 1_000  # rows read from Arrow at once: 500,000 rows a second, against 11,000 one by one
CONNECT_SECONDS = 1.0  # limit for a network that drops packets; without a name server or a route it fails at once
ANSWER_SECONDS = 5.0  # limit for the first answer of the hub, once it has taken a connection


class _OutOfReach(Exception):
    """The hub cannot be reached, for the reason in the message."""


# ------------------------------------------------------------------------------------------------------- files


def open_file(path: str, data: DataConfig, names: list[str], digest: str) -> Part:
    """The table in an existing CSV, JSONL or Parquet file; ``names``: columns of a CSV; ``digest``: its hash."""
    # ``datasets`` recognises a cached file by name and time stamp; a cache folder for each content avoids stale copies.
    cache = Path(data.cache) / "datasets" / "files" / digest[:12]
    datasets = _quiet_datasets()
    options: dict[str, Any] = {}
    if data.source == "csv":
        # Without these, pandas guesses types ("007" becomes 7) and takes "NA" and empty cells for missing ones.
        features = datasets.Features({name: datasets.Value("string") for name in names})
        options = {"features": features, "names": names, "header": 0, "keep_default_na": False, "na_filter": False}
    try:
        rows = datasets.load_dataset(
            "json" if data.source == "jsonl" else data.source,
            # The library takes patterns, so corpus[de].csv must be escaped.
            data_files={"train": glob.escape(str(Path(path).expanduser()))},
            split="train",
            cache_dir=str(cache),
            keep_in_memory=False,
            **options,
        )
    except StopIteration:
        raise UserError(f"{path} is an empty corpus: it holds no rows") from None
    except Exception as error:
        refuse_too_many_open(path, error)
        refuse_full_disk(cache, error)
        raise UserError(f"{path} cannot be read as {data.source}: {why(error)}") from error
    return _table(rows, data, path, f"{data.source}/{digest}")


# --------------------------------------------------------------------------------------------------------- hub


def open_repository(data: DataConfig, wanted: Iterable[str] = tuple(DEFAULT_SPLITS)) -> dict[str, Part]:
    """The ``wanted`` splits of a repository; valid and test only if they are named in ``data`` or exist.

    A cached copy of the current commit is used as it is, and that of a pinned one without asking the hub. If the hub is
    out of reach, the cached copy of the same repository, configuration and revision is used, with a line on stderr.

    Raises:
        UserError: the repository, configuration, revision, split or column does not exist, or there is no copy.
    """
    hub = data.hub
    if not hub.repo:
        raise UserError("data.hub.repo is not set: name a repository, owner/name, for data.source=hub")
    if Path(hub.repo).is_dir():  # the library would read the folder in silence
        raise UserError(f"data.hub.repo={hub.repo} is also a folder here: start in another directory")
    where = name_of(hub)
    commit, splits = _copy(data, where)
    return _choose(data, splits, where, commit, wanted)


def _copy(data: DataConfig, where: str) -> tuple[str, Mapping[str, Any]]:
    """The commit of the repository and its splits, in the cache; a copy is known by its revision and by its commit."""
    hub, (cache, record) = data.hub, _places(data)
    known = _recall(record)
    if known and known[0] == asked_for(hub.revision):
        return known
    try:
        commit = _commit(hub.repo or "", asked_for(hub.revision))
    except _OutOfReach as reason:
        commit, splits = _known(data, reason)
        print(f"{where}: the hub is out of reach, taking the copy of commit {commit[:12]} in {cache}", file=sys.stderr)
    else:
        if not known or known[0] != commit:
            known = commit, load(hub, commit, cache, where)
            _remember(record, *known)
        splits = known[1]
    by_commit = _places(replace(data, hub=replace(hub, revision=commit)))[1]
    if not by_commit.exists():
        with suppress(UserError):  # a cache that cannot be written is still read
            _remember(by_commit, commit, splits)
    return commit, splits


def _choose(
    data: DataConfig, splits: Mapping[str, Any], where: str, commit: str, wanted: Iterable[str]
) -> dict[str, Part]:
    tables, identity = {}, f"{data.hub.repo}@{commit}/{data.hub.name}/{data.hub.data_dir}"
    for split in wanted:
        asked = data.split_options(split).split
        name = asked or DEFAULT_SPLITS[split]  # a further test set is always asked for by name
        if name in splits:
            found = _table(splits[name], data, f"{where} {name}", f"{identity}/{name}")
            tables[split] = replace(found, commit=commit)
        elif asked or split == "train":
            raise UserError(
                f"{where} has no split {name}; it has {', '.join(splits)}: set {data.key_of_split(split)}.split"
            )
    return tables


def commit_of(data: DataConfig) -> str:
    """The commit that ``data.hub.revision`` names. Raises ``UserError`` if the hub cannot be asked."""
    try:
        return _commit(data.hub.repo or "", asked_for(data.hub.revision))
    except _OutOfReach as reason:
        raise UserError(
            f"{name_of(data.hub)}: the hub is out of reach ({reason}), and a stream needs it: check the network, or "
            "set data.hub.streaming=false for a cached copy"
        ) from reason


def check_reach(data: DataConfig) -> None:
    """Raise ``UserError`` if there is neither a hub nor a cached copy, before anything heavy is imported."""
    try:
        _connect()
    except _OutOfReach as reason:
        _known(data, reason)


def name_of(hub: HubConfig) -> str:
    """The repository and its configuration, for messages."""
    return f"hub {hub.repo}" + (f"[{hub.name}]" if hub.name else "")


def _places(data: DataConfig) -> tuple[Path, Path]:
    """The cache folder of ``datasets``, and the path of the record that belongs to ``data.hub``."""
    wanted = [data.hub.repo, data.hub.name, asked_for(data.hub.revision), data.hub.data_dir]
    cache = Path(data.cache) / "datasets"
    return cache, cache / "hub" / f"{hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]}.json"


def _known(data: DataConfig, reason: _OutOfReach) -> tuple[str, dict[str, Any]]:
    """The commit and the splits of the cached copy. Raises ``UserError`` if there is none."""
    known = _recall(_places(data)[1])
    if known is None:
        raise UserError(
            f"{name_of(data.hub)}: the hub is out of reach ({reason}) and {data.cache} holds no copy: check the "
            "network or take another data.source"
        ) from reason
    return known


def _commit(repo: str, revision: str | None) -> str:
    """The commit of a revision (None: the newest). This short request also shows whether the hub answers."""
    from huggingface_hub import HfApi, errors

    _connect()
    try:
        sha = HfApi().dataset_info(repo, revision=revision, timeout=ANSWER_SECONDS).sha
    except errors.GatedRepoError as error:
        raise UserError(f"hub {repo} is gated: ask for access on its page, then run: hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"hub {repo}: no such dataset repository (or a private one): check data.hub.repo, or run: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"hub {repo} has no revision {revision}: check data.hub.revision") from error
    except errors.HFValidationError as error:
        raise UserError(f"data.hub.repo={repo} is no repository name: it must be owner/name") from error
    except Exception as error:  # their types change from release to release
        raise _OutOfReach(why(error)) from error
    if not sha:
        raise _OutOfReach("it names no commit")
    return sha


def _connect() -> None:
    """Raise ``_OutOfReach`` if neither the hub nor its proxy takes a connection within a second."""
    from huggingface_hub.constants import ENDPOINT

    hub = urlsplit(ENDPOINT)
    proxy = None if proxy_bypass(hub.hostname or "") else getproxies().get(hub.scheme)
    place = urlsplit(proxy) if proxy else hub
    port = place.port or {"http": 80, "https": 443}.get(place.scheme, 443)
    try:
        socket.create_connection((place.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise _OutOfReach(error.strerror or str(error)) from error


def load(hub: HubConfig, commit: str, cache: Path, where: str) -> dict[str, Any]:
    """The splits of a repository: downloaded into the cache, or streamed from the hub, as ``hub`` says.

    Raises:
        UserError: there is no such configuration, or the repository cannot be read.
    """
    datasets = _quiet_datasets()
    mode = {"streaming": True} if hub.streaming else {"keep_in_memory": False}
    try:
        if hub.name and not hub.data_dir:
            # For a repository without configurations the library accepts any name, and caches the text under each.
            names = datasets.get_dataset_config_names(hub.repo, revision=commit)
            if hub.name not in names:
                raise UserError(f"{where}: no such configuration; it has {_listed(names)}: set data.hub.name")
        loaded = datasets.load_dataset(
            hub.repo, hub.name, data_dir=hub.data_dir, revision=commit, cache_dir=str(cache), **mode
        )
    except UserError:
        raise
    except Exception as error:
        if not hub.name and "Config name is missing" in str(error):
            names = datasets.get_dataset_config_names(hub.repo, revision=commit)
            raise UserError(f"{where} has several configurations, {_listed(names)}: set data.hub.name") from error
        if "scripts are no longer supported" in str(error):
            raise UserError(
                f"{where} is a script, which datasets no longer runs: try data.hub.revision=refs/convert/parquet "
                "with data.hub.data_dir= the configuration"
            ) from error
        refuse_too_many_open(where, error)
        refuse_full_disk(cache, error)
        raise UserError(f"{where} cannot be read: {why(error)}") from error
    return dict(loaded)


def _remember(record: Path, commit: str, splits: Mapping[str, Any]) -> None:
    """Write the record: the commit, and its files relative to the record, so that a cache can be moved."""
    files = {
        name: [os.path.relpath(part["filename"], record.parent) for part in rows.cache_files]
        for name, rows in splits.items()
    }
    write_json(record, {"commit": commit, "splits": files})


def _recall(record: Path) -> tuple[str, dict[str, Any]] | None:
    """The commit and the splits of a record, or None if there is no complete copy."""
    try:
        noted = json.loads(record.read_text(encoding="utf-8"))
        files = {name: [record.parent / part for part in parts] for name, parts in noted["splits"].items()}
        commit = str(noted["commit"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not all(parts and all(part.is_file() for part in parts) for parts in files.values()):
        return None
    datasets = _quiet_datasets()
    try:
        return commit, {
            name: datasets.concatenate_datasets([datasets.Dataset.from_file(str(part)) for part in parts])
            for name, parts in files.items()
        }
    except Exception:  # a damaged copy counts as none
        return None


# ----------------------------------------------------------------------------------------------------- columns


def _table(rows: Any, data: DataConfig, where: str, identity: str) -> Part:
    src, tgt = columns(rows, data, where)
    whole = f"{identity}/{'.'.join(src)}/{'.'.join(tgt)}"
    return Part(where, len(rows), whole, functools.partial(pairs_of, rows, src, tgt, where))


def columns(rows: Any, data: DataConfig, where: str) -> tuple[Column, Column]:
    """The columns of the source and of the target. Raises ``UserError`` if they are not there, or hold no text."""
    if rows.features is None:
        raise UserError(f"{where}: the columns of this format are not known before it is read whole: do not stream it")
    kinds = dict(_kinds(rows.features))
    src_code, tgt_code = data.codes
    src = _column(kinds, data.src_column, src_code or "", "src_column", where)
    tgt = _column(kinds, data.tgt_column, tgt_code or "", "tgt_column", where)
    if src == tgt:
        raise UserError(f"{where}: both sides are column {'.'.join(src)}: set data.src_column and data.tgt_column")
    return src, tgt


def _kinds(features: Mapping[str, Any], above: Column = ()) -> Iterator[tuple[Column, str]]:
    """The type of each column, those inside dictionaries included."""
    for name, feature in features.items():
        column = (*above, name)
        kind = type(feature).__name__
        if kind == "Value":
            yield column, feature.dtype
        elif kind == "Translation":
            yield from (((*column, language), "string") for language in feature.languages)
        elif isinstance(feature, dict):
            yield from _kinds(feature, column)
        else:
            yield column, "mixed types" if kind == "Json" else kind


def _column(kinds: Mapping[Column, str], named: str | None, language: str, key: str, where: str) -> Column:
    tried: list[Column] = [(named,), tuple(named.split("."))] if named else [(language,), ("translation", language)]
    column = next((column for column in tried if column in kinds), None)
    if column is None:
        if named is None and ("translation",) in kinds:
            raise UserError(f"{where}: column translation holds {kinds[('translation',)]}, not one text a language")
        there = ", ".join(".".join(known) for known in kinds)
        raise UserError(f"{where} has no column {named or language}; it has {there}: set data.{key}")
    if kinds[column] not in TEXT:
        raise UserError(
            f"{where}: column {'.'.join(column)} holds {kinds[column]}, not text: make every value of it a string, "
            f"or set data.{key}"
        )
    return column


def pairs_of(rows: Any, src: Column, tgt: Column, where: str) -> Iterator[Pair]:
    """The pairs of a table, or of a stream, in order."""
    done = 0
    for batch in of_columns(rows, src, tgt).iter(batch_size=BATCH):
        yield from zip(texts_of(batch, src, where, done), texts_of(batch, tgt, where, done), strict=True)
        done += batch.num_rows


def of_columns(rows: Any, src: Column, tgt: Column) -> Any:
    """The table, or the stream, of these columns alone."""
    return rows.select_columns(list(dict.fromkeys((src[0], tgt[0])))).with_format("arrow")


def texts_of(batch: Any, column: Column, where: str, done: int | None) -> list[str]:
    """The cells of a column; ``done``: the rows before this batch, for messages; None where they are not counted."""
    import pyarrow.compute as pc

    cells = batch.column(column[0])
    for name in column[1:]:
        cells = pc.struct_field(cells, name)
    texts: list[str] = cells.to_pylist()
    if cells.null_count:
        row = "a row" if done is None else f"row {done + texts.index(None) + 1:,}"  # type: ignore[arg-type]
        raise UserError(f"{where}: {row} has no text in column {'.'.join(column)}: fill it in or remove the row")
    # Outputs are written with a sentence in each line, so a line end inside a cell becomes a space.
    return [text.replace("\n", " ") if "\n" in text else text for text in texts]


# ----------------------------------------------------------------------------------------------------- library


def _quiet_datasets() -> Any:
    """The ``datasets`` module without log lines, and without progress bars unless stderr is a terminal."""
    import datasets

    quiet_hub()
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # errors arrive as exceptions
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets


def quiet_hub() -> None:
    """Let ``huggingface_hub`` print no log lines, and no progress bars unless stderr is a terminal."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # errors arrive as exceptions
    if not sys.stderr.isatty():
        disable_progress_bars()


def why(error: BaseException) -> str:
    """The first line of the innermost cause, since the library's own message is generic."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__


def _listed(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
