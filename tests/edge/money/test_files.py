"""Journal files: locked by the worker that owns them, adopted by one at a time."""

import os
from pathlib import Path

from edge.money import files


def test_a_file_is_locked_by_one_at_a_time_and_free_when_its_holder_lets_go(tmp_path: Path) -> None:
    path = files.path_of(tmp_path, "w")
    first = files.lock(path, create=True)
    assert first is not None
    assert files.lock(path) is None
    assert files.lock(path, create=True) is None
    os.close(first)
    second = files.lock(path)
    assert second is not None
    os.close(second)


def test_a_file_that_is_not_there_is_not_made_by_who_wants_to_adopt_it(tmp_path: Path) -> None:
    path = files.path_of(tmp_path, "w")
    assert files.lock(path) is None
    assert not path.exists()


def test_a_file_that_was_removed_before_it_could_be_locked_is_not_adopted(tmp_path: Path) -> None:
    path = files.path_of(tmp_path, "w")
    first = files.lock(path, create=True)
    assert first is not None
    late = os.open(path, os.O_RDWR)  # the adopter that comes second opens it now
    files.remove(path)
    assert not files._still_there(path, late)
    again = files.lock(path, create=True)  # another file of the same name
    assert again is not None
    assert not files._still_there(path, late)
    for descriptor in (first, late, again):
        os.close(descriptor)


def test_what_stands_beside_a_journal_is_renamed_and_removed_with_it(tmp_path: Path) -> None:
    path = tmp_path / "w.journal"
    for name in ("w.journal", "w.journal-wal"):
        (tmp_path / name).write_text("x")
    aside = files.set_aside(path, files.BROKEN)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["w.journal.broken", "w.journal.broken-wal"]
    files.remove(aside)
    assert list(tmp_path.iterdir()) == []
