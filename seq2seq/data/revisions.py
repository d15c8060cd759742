"""Revisions of a repository of the hub, and the commits that they are pinned to. Knows only their text.

A branch moves on, so a run keeps the commit that it was begun with: as ``COMMIT`` where no revision was given, and as
``NAME@COMMIT`` where a branch or a tag was.
"""

from __future__ import annotations

import re

PINNED = re.compile(r"(?:(?P<name>.+)@)?(?P<commit>[0-9a-f]{40})")


def asked_for(revision: str | None) -> str | None:
    """What the hub is asked for: the commit of a pinned revision, else the branch or tag; None: the newest commit."""
    found = PINNED.fullmatch(revision or "")
    return found["commit"] if found else revision


def pinned(revision: str | None, commit: str) -> str:
    """The revision with the commit that it names; as it is where it has one."""
    if revision is None:
        return commit
    return revision if PINNED.fullmatch(revision) else f"{revision}@{commit}"


def stands_for(given: str | None, saved: str | None) -> bool:
    """Whether ``saved`` is what was ``given``, pinned."""
    found = PINNED.fullmatch(saved or "")
    return found is not None and given in (found["name"], found["commit"])
