"""The documentation: the site builds, every internal link and anchor resolves, and lines are short."""

import re
import unicodedata
from pathlib import Path

import pytest

from deploy.settings import ROOT
from tests.support.repository import tool, tracked

WIDTH = 120
PAGES = sorted(path for path in tracked() if path.suffix == ".md")
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. --strict makes every warning an error: missing pages, links and anchors."""
    folder = tmp_path_factory.mktemp("site")
    done = tool("mkdocs", "build", "--strict", "--site-dir", folder, NO_MKDOCS_2_WARNING="1")
    assert done.returncode == 0, done.stderr
    return folder


def test_site_builds_strictly(site):
    """`mkdocs build --strict` succeeds and builds every page of docs/."""
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if not (site / page).with_suffix(".html").is_file()] == []


def test_site_loads_nothing_from_other_hosts(site):
    """No page of the site loads a script, style sheet, font or picture from another host."""
    loaded = re.compile(r"""<(?:script|img|link rel="?(?:stylesheet|icon|preload|preconnect)"?)\b[^>]*="?https?://""")
    assert [page.name for page in site.rglob("*.html") if loaded.search(page.read_text())] == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as mkdocs and code hosts make them."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        plain = unicodedata.normalize("NFKD", heading.strip().lower())
        found.add(re.sub(r"[^\w -]", "", plain).replace(" ", "-"))
    return found


def links(page: Path) -> list[str]:
    """The targets of a page's relative links and pictures."""
    text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", page.read_text(), flags=re.M | re.S)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_resolves(page):
    """Every relative link of a Markdown file leads to a file of the repository, and to a heading of it."""
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or anchor and anchor not in anchors(target):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_lines_are_short(page):
    """Lines of Markdown end at 120 columns; tables and links cannot be wrapped."""
    lines = enumerate(page.read_text().splitlines(), start=1)
    assert [number for number, line in lines if len(line) > WIDTH and not re.search(r"^ *\||\]\(|https?:", line)] == []


def test_readme_links_every_page():
    """The README leads to every page of the documentation in one step."""
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    pages = {page for page in PAGES if page.parent.parent == ROOT / "docs"}
    assert pages <= linked
