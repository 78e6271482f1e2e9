"""The documentation's site: built as strictly as can be, whole, and in need of nobody else."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from docs import ROOT

CONFIG = ROOT / "docs" / ".mkdocs" / "mkdocs.yml"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
"""Elements that a browser fetches something for; `link` depends on its `rel`."""
FETCHED_RELS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch"}
README_LINK = re.compile(r"\]\(([^)#:]+)(?:#([^)]+))?\)")
STYLE_URL = re.compile(r"""(?:url\(|@import)\s*["']?\s*(?:https?:)?//""")


@dataclass
class Page(HTMLParser):
    """What a page has and what it points at."""

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and FETCHED_RELS & set(given.get("rel", "").split()):
            self.loads.append(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    # Not --quiet: with it, warnings do not count.
    build = ("-m", "mkdocs", "build", "--strict", "-f", str(CONFIG), "-d", str(out))
    done = subprocess.run(
        [sys.executable, *build],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    # Of the page for what does not exist, nobody knows from where it is shown.
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_of_the_folder_is_there(pages: dict[Path, Page], site: Path) -> None:
    written = {path.relative_to(CONFIG.parents[1]) for path in CONFIG.parents[1].rglob("*.md")}
    assert {path.relative_to(site).with_suffix(".md") for path in pages} == written


def test_every_link_within_it_leads_somewhere(pages: dict[Path, Page]) -> None:
    assert list(_dead(pages)) == []


def _dead(pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.exists():
                yield f"{path.name}: {link}: no such page"
            elif anchor and target in pages and anchor not in pages[target].ids:
                yield f"{path.name}: {link}: no such heading"


def test_every_link_of_the_readme_leads_somewhere(pages: dict[Path, Page], site: Path) -> None:
    links = README_LINK.findall((ROOT / "README.md").read_text())
    assert links
    assert [path for path, _ in links if not (ROOT / path).exists()] == []
    for path, anchor in links:
        if anchor:
            page = site / Path(path).relative_to("docs").with_suffix(".html")
            assert anchor in pages[page].ids, f"{path}#{anchor}"


def test_no_page_loads_anything_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    loads = {load for page in pages.values() for load in page.loads}
    assert loads, "pages without a stylesheet are not what was built"
    assert [load for load in loads if urlsplit(load).netloc or urlsplit(load).scheme] == []
    styles = [*site.rglob("*.css"), *site.rglob("*.svg"), *pages]
    assert [path.name for path in styles if STYLE_URL.search(path.read_text())] == []
