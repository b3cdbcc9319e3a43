"""The tables of the documentation say what the code says.

After a change that is meant: `UPDATE_GOLDEN=1 python -m pytest tests/docs`, and read the difference.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.docs.pages import PAGES, Page
from tests.docs.tables import TABLES

_MARKED = re.compile(r"(<!-- table: (?P<name>[\w ]+) -->\n)(?P<content>.*?)(<!-- end of table -->)", re.DOTALL)
MARKED = [(page, each["name"]) for page in PAGES for each in _MARKED.finditer(page.text)]


def test_every_table_of_the_code_stands_in_the_documentation_once() -> None:
    assert sorted(name for _, name in MARKED) == sorted(TABLES)


@pytest.mark.parametrize(("page", "name"), MARKED, ids=str)
def test_table_equals_the_code(page: Page, name: str) -> None:
    wanted = "".join(f"{line}\n" for line in TABLES[name]())
    if os.environ.get("UPDATE_GOLDEN"):
        renewed = _MARKED.sub(
            lambda each: f"{each[1]}{wanted}{each[4]}" if each["name"] == name else each[0], page.text
        )
        page.path.write_text(renewed, encoding="utf-8")
    found = next(each["content"] for each in _MARKED.finditer(page.text) if each["name"] == name)
    assert found == wanted
