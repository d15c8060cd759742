"""What the data tests share: the local hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def hub_server() -> ModuleType:
    """``tests/hub_server.py``: tests are no package, so it is imported from its path."""
    path = Path(__file__).parent.parent / "hub_server.py"
    spec = importlib.util.spec_from_file_location("hub_server", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
