"""Brings files from outside docs/ into the site: whatever a page links to becomes a page, and the links follow.

On a forge a link such as `../LICENSE` works as it stands. MkDocs knows only what lies below docs/; so here README.md
becomes index.md, and every other linked file of the repository becomes `repository/<its path>`.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
ALWAYS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "LICENSE",
    "examples/README.md",
]
LANGUAGES = {".py": "python", ".yaml": "yaml", ".conf": "nginx"}
_CODE = re.compile(r"^(```.*?^```|(?: {4}|\t).*?$)|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that pages link to, and those that these link to."""
    waiting = [(name, (ROOT / name).read_text(encoding="utf-8")) for name in ALWAYS]
    waiting += [("docs/" + file.src_uri, file.content_string) for file in files.documentation_pages()]
    seen = set(ALWAYS)
    while waiting:
        path, text = waiting.pop()
        if not path.startswith("docs/"):
            content = text if path.endswith(".md") else _as_page(path, text)
            files.append(File.generated(config, _site_path(path), content=content))
        for target in _linked_files(path, text) if path.endswith(".md") else ():
            if target in seen or target.startswith("docs/"):
                continue
            seen.add(target)
            if Path(target).suffix in (".jpg", ".png"):
                files.append(File.generated(config, _site_path(target), abs_src_path=str(ROOT / target)))
            else:
                waiting.append((target, (ROOT / target).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that are right in the repository into links that are right in the site."""
    here = page.file.src_uri

    def rewritten(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(_repository_path(here)), link[1]))
        return posixpath.relpath(_site_path(target), posixpath.dirname(here)) if (ROOT / target).is_file() else link[0]

    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_LINK.sub(rewritten, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(rewritten, markdown[end:])])


def _linked_files(path: str, text: str) -> list[str]:
    text = _CODE.sub("", text)
    targets = [posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) for link in _LINK.findall(text)]
    return [target for target in targets if (ROOT / target).is_file()]


def _site_path(path: str) -> str:
    """Where a file of the repository stands in the site."""
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    is_page = path.endswith((".md", ".jpg", ".png"))
    return f"repository/{path}" if is_page else f"repository/{path}.md"


def _repository_path(path: str) -> str:
    """The way back."""
    if path == "index.md":
        return "README.md"
    if not path.startswith("repository/"):
        return f"docs/{path}"
    path = path.removeprefix("repository/")
    return path if (ROOT / path).is_file() else path.removesuffix(".md")


def _as_page(path: str, text: str) -> str:
    return f"# {path}\n\n```{LANGUAGES.get(Path(path).suffix, 'text')}\n{text}\n```\n"
