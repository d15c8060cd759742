"""What MkDocs has to be told about pages that are written to be read on GitHub. Knows the pages; no package.

Links to files outside ``docs/`` lead to pages that hold those files, and equations become MathML, so that the site
needs no script for them. MkDocs calls the functions by their names.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]+)")
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
LANGUAGES = {".py": "python", ".md": "markdown", ".yaml": "yaml", ".toml": "toml"}


def outside(link: str, page: Path) -> Path | None:
    """The file of the project, relative to its root, to which a page of ``docs/`` links; None for one of ``docs/``."""
    path = Path(os.path.normpath(page.parent / link))
    if path.is_relative_to(DOCS) or not path.is_relative_to(ROOT) or not path.is_file():
        return None
    return path.relative_to(ROOT)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside ``docs/`` that a page links to."""
    for file in list(files.documentation_pages()):
        page = DOCS / file.src_uri
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            path = outside(link, page)
            if path and f"source/{path}.md" not in files.src_uris:
                text = (ROOT / path).read_text(encoding="utf-8")
                content = (
                    f"---\ntitle: {path}\nsearch: {{exclude: true}}\nhide: [toc]\n---\n\n# `{path}`\n\n"
                    f"~~~~~~{LANGUAGES.get(path.suffix, 'text')}\n{text}~~~~~~\n"
                )
                files.append(File.generated(config, f"source/{path}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that leave ``docs/`` to the pages of ``on_files``."""
    place = DOCS / page.file.src_uri

    def led(link: re.Match[str]) -> str:
        path = outside(link[1], place)
        return f"]({os.path.relpath(DOCS / 'source' / f'{path}.md', place.parent)}" if path else link[0]

    return markdown if page.file.generated_by else LINK.sub(led, markdown)


def on_page_content(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make MathML of the equations that arithmatex has marked."""

    def converted(equation: re.Match[str]) -> str:
        display = "block" if equation[1] == "div" else "inline"
        return convert(html.unescape(equation[2]).strip(), display=display)

    return EQUATION.sub(converted, text)
