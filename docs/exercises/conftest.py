"""Lets the tests run on what you wrote, or with ``--solutions`` on the solutions; says what is not written yet."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from types import ModuleType
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option ``--solutions``."""
    parser.addoption("--solutions", action="store_true", help="test docs/exercises/solutions, not what you wrote")


def pytest_configure(config: pytest.Config) -> None:
    """Short tracebacks, unless ``--tb`` asks for others."""
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "short"


@pytest.fixture(scope="module")
def answer(request: pytest.FixtureRequest) -> ModuleType:
    """The module that test_NAME.py tests: NAME.py."""
    name = request.path.stem.removeprefix("test_")
    folder = "docs.exercises.solutions" if request.config.getoption("--solutions") else "docs.exercises"
    return importlib.import_module(f"{folder}.{name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Of a hole one line, not how Python came to it."""
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(NotImplementedError):
        report.longrepr = f"not written yet: {call.excinfo.value}; its docstring says what it should do"
    return report
