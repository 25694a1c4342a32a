"""docs/errors.md: every error that the edge knows, as the edge knows it, and no other."""

from edge.errors import TABLE
from tests.support import pages

ROWS = [row for table in pages.tables(pages.read("docs/errors.md")) for row in table]


def test_it_lists_every_error_once_with_status_and_type() -> None:
    listed = [(row["code"], (int(row["HTTP"]), row["type"])) for row in ROWS]
    assert sorted(listed) == sorted(TABLE.items())


def test_every_error_says_when_it_comes_and_what_to_do() -> None:
    assert all(row["When"] and row["What to do"] for row in ROWS)
