"""The docs tell the truth about names: every path in them exists, every link leads somewhere, every field is listed."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "serving").rglob("*.md"),
    }
)
FOLDERS = "benchmarks|components|docs|examples|k8s|photo|pipeline|scripts|serving|tests|tintype"
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?![a-z]+:)([^)\s]+)\)")
PATH = re.compile(rf"^(?:{FOLDERS})/[\w./-]*$")
MODULE = re.compile(rf"^(?:{FOLDERS})(?:\.\w+)+$")

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def prose(page):
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@each_page
def test_every_path_that_a_page_names_exists(page):
    named = {name for name in IN_BACKTICKS.findall(prose(page)) if PATH.match(name)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@each_page
def test_every_module_that_a_page_names_exists(page):
    def exists(name):
        path = ROOT / name.replace(".", "/")
        # The last part may be something in the module, or in the package's __init__.
        return any(
            (part.is_dir() or part.with_suffix(".py").is_file() or (ROOT / name).is_file())
            for part in (path, path.parent)
        )

    named = {name for name in IN_BACKTICKS.findall(prose(page)) if MODULE.match(name)}
    assert sorted(name for name in named if not exists(name)) == []


@each_page
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    for link in LINK.findall(re.sub(r"`[^`\n]+`", "", prose(page))):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


@each_page
def test_a_page_has_no_line_over_120_characters_but_rows_of_tables(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.lstrip().startswith("|")] == []


@each_page
def test_the_command_is_called_in_one_way_and_installed_from_a_clone(page):
    text = page.read_text(encoding="utf-8")
    assert ".venv/bin/tintype" not in text
    assert not re.search(r"pip install ['\"]?tintype", text)


def test_no_message_of_ours_installs_from_an_index():
    sources = [file for folder in FOLDERS.split("|") for file in (ROOT / folder).rglob("*.py")]
    offending = re.compile(r"pip install ['\"]?tintype")
    files = [file for file in sources if file != Path(__file__) and offending.search(file.read_text("utf-8"))]
    assert files == []


def test_the_page_of_config_fields_is_as_the_fields_are():
    reference = runpy.run_path(str(ROOT / "docs" / "config_reference.py"))["reference"]
    assert (ROOT / "docs" / "config.md").read_text("utf-8") == reference(), "run: python docs/config_reference.py"


def test_every_field_of_a_config_has_a_meaning():
    rows = [line for line in (ROOT / "docs" / "config.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\) \| ", row.strip("| ")) for row in rows]
    assert [
        cell[0] for cell in cells if len(cell) < 4 or not cell[3] or re.match(r";? ?(at|above|below)\b", cell[3])
    ] == []


def test_every_page_is_in_the_navigation_of_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f" {page}\n" not in navigation] == []
