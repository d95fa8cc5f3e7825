"""The page's words: every language has all of them, with their placeholders and its own plural forms."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from serving.web.app import STATIC

LANGUAGES = sorted((STATIC / "languages").glob("*.json"))

# Of whole numbers, by Unicode's CLDR; what is only for millions is left out.
PLURALS = {
    "ar": {"zero", "one", "two", "few", "many", "other"},
    "pl": {"one", "few", "many", "other"},
    "uk": {"one", "few", "many", "other"},
    "ja": {"other"},
    "zh": {"other"},
}

Words = dict[str, str | dict[str, str]]


def words(path: Path) -> Words:
    return json.loads(path.read_text())


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


ENGLISH = words(STATIC / "languages" / "en.json")


def test_the_page_offers_the_languages_that_there_are():
    offered = re.search(r"const LANGUAGES = (\[.*?\]);", (STATIC / "languages.js").read_text())
    assert offered
    assert sorted(json.loads(offered[1])) == [path.stem for path in LANGUAGES]


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
def test_a_language_has_all_words_with_their_placeholders_and_plural_forms(path):
    found = words(path)
    assert found.keys() == ENGLISH.keys()
    for key, english in ENGLISH.items():
        one = found[key]
        assert isinstance(one, dict) == isinstance(english, dict), key
        if isinstance(one, dict):
            assert isinstance(english, dict)
            assert one.keys() == PLURALS.get(path.stem, {"one", "other"}), key
            # "One photo" and "two photos" may say the number in a word.
            for form, text in one.items():
                assert placeholders(text) <= placeholders(english["other"]), (key, form)
            assert placeholders(one["other"]) == placeholders(english["other"]), key
        else:
            assert placeholders(one) == placeholders(str(english)), key
            assert one.strip(), key


def test_every_word_is_used_and_every_word_that_is_used_is_there():
    sources = "".join(path.read_text() for path in (*STATIC.glob("*.js"), STATIC / "index.html"))
    used = set(re.findall(r'(?:\bsay\(|data-text=|data-label=)"([^"]+)"', sources))
    assert used <= ENGLISH.keys()
    quoted = set(re.findall(r'"([^"\n]+)"', sources))
    assert [key for key in ENGLISH if key not in quoted and not key.startswith(("state.", "look."))] == []


def test_what_the_document_says_before_its_words_are_there_is_english():
    class Reader(HTMLParser):
        said: dict[str, str]
        key: str | None = None

        def handle_starttag(self, tag, attributes):
            found = dict(attributes)
            self.key = found.get("data-text")
            if self.key:
                self.said[self.key] = ""
            if "data-label" in found:
                assert ENGLISH[found["data-label"]] == found["aria-label"]

        def handle_endtag(self, tag):
            self.key = None

        def handle_data(self, data):
            if self.key:
                self.said[self.key] += data

    reader = Reader()
    reader.said = {}
    reader.feed((STATIC / "index.html").read_text())
    assert reader.said == {key: ENGLISH[key] for key in reader.said}
    assert len(reader.said) > 30
