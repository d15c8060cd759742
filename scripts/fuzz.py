"""Fuzz the readers of configs, corpora, checkpoints and alignments: ``python -m scripts.fuzz --seconds 600``.

Needs ``pip install atheris``, which changes valid files so that new branches of ``seq2seq`` are reached. The only
answers are success and ``UserError``; everything else, a reader that takes longer than ``LONGEST`` or more than
``MEMORY``, and a process that dies are findings. Each is printed with the file that holds its input, which
``--reader NAME --only FILE`` reads again. The inputs that reached something new stay in ``--corpus`` and are where the
next search begins. What such searches found are rows of the tables in ``tests/hostile``.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

LONGEST = 10  # seconds that a reader may take
MEMORY = 6_000  # MiB that its process may hold
LINES = [(f"ab ca {n}", f"ba cb {n}") for n in "aabbccabcabcaabbcc"]
Reader = Callable[[Path], object]


def saved_configs() -> list[bytes]:
    """Configs as runs save them, of each kind of encoder and decoder."""
    import yaml

    from seq2seq.config.schema import DECODERS, ENCODERS, Config, ModelConfig
    from seq2seq.config.validation import to_plain

    plain = [
        to_plain(Config(model=ModelConfig(name="m", encoder=encoder(), decoder=decoder())))
        for encoder, decoder in zip([*ENCODERS.values(), *ENCODERS.values()], DECODERS.values(), strict=False)
    ]
    for config in plain:
        config["trainer"]["max_steps"] = 1
    return [yaml.safe_dump(config, sort_keys=False).encode() for config in plain]


def saved_checkpoint() -> bytes:
    """The weights of a linear layer with some state."""
    import torch

    from seq2seq.runs.checkpoint import save_weights

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.safetensors"
        save_weights(path, {"weight": torch.ones(3, 4), "bias": torch.ones(3)}, {"step": 3, "list": [1]})
        return path.read_bytes()


def read_corpus(path: Path, source: str) -> None:
    """Read all training pairs of a file of this kind."""
    from seq2seq.config.schema import DataConfig, SplitConfig
    from seq2seq.data.sources import open_source

    split = SplitConfig(src=str(path), tgt=str(path)) if source == "text" else SplitConfig(file=str(path))
    source = "text" if source in ("tmx", "xliff", "zip") else source
    options = DataConfig(source=source, train=split, holdout=2, cache=str(path.parent / "cache"))
    for _ in open_source(options).pairs("train"):
        pass


def bilingual_corpora() -> dict[str, bytes]:
    """A file of each format that says its own languages."""
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>{src}</seg></tuv><tuv xml:lang="de"><seg>{tgt}</seg></tuv></tu>'
        for src, tgt in LINES
    )
    segments = "".join(f"<segment><source>{src}</source><target>{tgt}</target></segment>" for src, tgt in LINES)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for side, code in enumerate(("en", "de")):
            archive.writestr(f"own.de-en.{code}", "".join(f"{pair[side]}\n" for pair in LINES))
    return {
        "tmx": f"<tmx><header srclang='en'/><body>{units}</body></tmx>".encode(),
        "xliff": f"<xliff srcLang='en' trgLang='de'><file><unit>{segments}</unit></file></xliff>".encode(),
        "zip": packed.getvalue(),
    }


def readers() -> dict[str, tuple[list[bytes], str, Reader]]:
    """By the reader's name: valid files, the name of such a file, and the call that reads the file at a path."""
    from torch import nn

    from seq2seq.evaluation.alignment import read_gold
    from seq2seq.runs.checkpoint import load_weights
    from seq2seq.runs.run import Run

    tabbed = "".join(f"{src}\t{tgt}\n" for src, tgt in LINES).encode()
    objects = "".join(json.dumps({"en": src, "de": tgt}) + "\n" for src, tgt in LINES).encode()
    corpora = {"text": tabbed, "tsv": tabbed, "csv": b"en,de\n" + tabbed.replace(b"\t", b","), "jsonl": objects}
    corpora |= bilingual_corpora()
    alignments = [b"0-0 1-1 2p2\n" * 4, b"0-0\n\n1?2 2-1\n0-2\n"]
    words = [["a"] * 3] * 4
    return {
        "config": (saved_configs(), "config.yaml", lambda path: Run(path.parent).load_config()),
        **{kind: ([valid], f"own.{kind}", partial(read_corpus, source=kind)) for kind, valid in corpora.items()},
        "checkpoint": ([saved_checkpoint()], "best.safetensors", lambda path: load_weights(path, nn.Linear(4, 3))),
        "alignment": (alignments, "own.gold", lambda path: read_gold(str(path), words, words, False)),
    }


NAMES = ("config", "text", "tsv", "csv", "jsonl", "tmx", "xliff", "zip", "checkpoint", "alignment")


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz one reader in this process, which ends with the search; ``arguments`` are libFuzzer's."""
    import atheris

    with atheris.instrument_imports(include=["seq2seq"]):
        seeds, file_name, read = readers()[name]
        from seq2seq.errors import UserError
    folder = Path(tempfile.mkdtemp())
    places = [place for place in arguments if not place.startswith("-")]
    for number, seed in enumerate(seeds if places and Path(places[0]).is_dir() else []):
        (Path(places[0]) / f"valid-{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        path = folder / file_name
        path.write_bytes(data)
        try:
            read(path)
        except UserError as error:
            assert str(error).strip(), "an empty message"

    atheris.Setup([sys.argv[0], *arguments], once)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the readers in turn, each in a process of its own; the exit code is 1 where anything was found."""
    parser = argparse.ArgumentParser("python -m scripts.fuzz", description="Fuzz the readers with atheris.")
    parser.add_argument("--seconds", type=int, default=600, help="of all readers together (default: 600)")
    parser.add_argument("--reader", choices=NAMES, help="one of them alone")
    parser.add_argument("--corpus", type=Path, default=Path("outputs/fuzz"), help="folder of inputs and findings")
    parser.add_argument("--only", help="read this input once, in this process")
    given = parser.parse_args()
    if given.only:
        fuzz(given.reader, [given.only])
    names = [given.reader] if given.reader else NAMES
    failed = []
    for name in names:
        (given.corpus / name).mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={given.seconds // len(names)}", f"-timeout={LONGEST}", f"-rss_limit_mb={MEMORY}"]
        found = f"-artifact_prefix={given.corpus}/{name}-"
        call = f"from scripts.fuzz import fuzz; fuzz({name!r}, {[str(given.corpus / name), found, *limits]!r})"
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-c", call], check=False).returncode:
            failed.append(name)
    print(f"findings in: {', '.join(failed)}" if failed else "nothing found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
