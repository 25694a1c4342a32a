"""The journal: group commit, a full disk, a killed process, what is left when it is closed."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.money import files
from edge.money.journal import Final, Journal
from edge.money.store import Changes, Store, UnreadableJournal
from edge.settings import JournalSync
from kit import faults
from kit.faults import Injected
from tests.edge.money.world import fill_the_disk, free_the_disk

SYNCHRONOUS = {JournalSync.OFF: 0, JournalSync.NORMAL: 1, JournalSync.FULL: 2}
"""As SQLite tells them."""
WRITES = """
import asyncio, sys, time
from pathlib import Path
from edge.money.journal import Final, Journal

async def main() -> None:
    journal = Journal.create(Path(sys.argv[1]), "w", synchronous="off", limit_bytes=1 << 30, now_ns=time.time_ns)
    journal.note_lease("lease")
    for number in range(10_000):
        journal.note_open(f"open-{number % 7}", b"open")
        journal.note_final(Final(f"final-{number}", "lease", 5, b"final"))
        assert await journal.commit()
        print(number, flush=True)

asyncio.run(main())
"""


made: list[Journal] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes the files of the journals that a test left open."""
    yield
    while made:
        journal = made.pop()
        if not journal._closed:
            journal._store.close()
            os.close(journal._descriptor)


def new_journal(directory: Path, *, limit_bytes: int = 1 << 30, now_ns: Callable[[], int] = time.time_ns) -> Journal:
    made.append(Journal.create(directory, "w", synchronous="off", limit_bytes=limit_bytes, now_ns=now_ns))
    return made[-1]


def final(request_id: str, *, cost: int = 5, record: bytes = b"r") -> Final:
    return Final(request_id, "lease", cost, record)


def reopened(path: Path) -> Journal:
    descriptor = files.lock(path)
    assert descriptor is not None
    made.append(Journal(path, descriptor, Store.open(path), limit_bytes=1 << 30, now_ns=time.time_ns))
    return made[-1]


async def test_what_is_noted_in_one_tick_is_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new_journal(tmp_path)
    transactions: list[Changes] = []
    write = journal._store.write

    def counting(changes: Changes, *, now_ns: int) -> None:
        transactions.append(changes)
        write(changes, now_ns=now_ns)

    monkeypatch.setattr(journal._store, "write", counting)
    journal.note_lease("lease")
    await journal.commit()
    transactions.clear()

    async def request(number: int) -> bool:
        journal.note_final(final(f"r{number}"))
        return await journal.commit()

    assert await asyncio.gather(*(request(number) for number in range(100))) == [True] * 100
    assert len(transactions) == 1
    assert journal.leases() == {"lease": 500}
    assert [row.request_id for row in journal.batch(1_000)] == [f"r{number}" for number in range(100)]


async def test_a_final_takes_the_place_of_the_open_record(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_open("one", b"open")
    journal.note_open("two", b"open")
    await journal.commit()
    journal.note_open("one", b"newer")
    journal.note_final(final("one"))
    journal.note_open("two", b"newer")
    await journal.commit()
    assert journal.opens() == [b"newer"]
    assert [row.request_id for row in journal.batch(10)] == ["one"]


async def test_landed_is_called_once_and_only_when_the_record_is_written(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    landed: list[str] = []
    journal.note_final(Final("one", "", 0, b"r", landed=lambda: landed.append("one")))
    assert landed == []
    await journal.commit()
    journal.acked(journal.batch(10))
    await journal.commit()
    assert landed == ["one"]


async def test_acknowledged_records_are_forgotten_and_the_rest_keep_their_order(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    for number in range(5):
        journal.note_final(final(f"r{number}"))
    await journal.commit()
    journal.acked(journal.batch(2))
    # Not even before the transaction are they given again.
    assert [row.request_id for row in journal.batch(10)] == ["r2", "r3", "r4"]
    assert journal.waiting == 3
    await journal.commit()
    journal.close()
    again = reopened(journal.path)
    assert [row.request_id for row in again.batch(10)] == ["r2", "r3", "r4"]
    assert again.waiting == 3


async def test_on_a_full_disk_finals_stay_in_memory_and_are_written_when_there_is_room(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_lease("lease")
    await journal.commit()
    fill_the_disk(journal)
    landed: list[str] = []
    kept = Final("kept", "lease", 7, b"x" * 100_000, landed=lambda: landed.append("kept"))
    journal.note_final(kept)
    assert not await journal.commit()
    assert (journal.refuses, landed) == (True, [])
    assert journal.batch(10) == [kept]
    free_the_disk(journal)
    journal.retry()
    assert await journal.commit()
    assert (journal.refuses, landed) == (False, ["kept"])
    assert journal.leases() == {"lease": 7}
    assert [row.request_id for row in journal.batch(10)] == ["kept"]


async def test_whatever_keeps_a_transaction_from_being_written_nobody_waits_for_ever(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_lease("lease")
    landed: list[str] = []
    faults.enable("edge.journal.before_write=raise:2")
    try:
        journal.note_final(Final("one", "lease", 5, b"r", landed=lambda: landed.append("one")))
        async with asyncio.timeout(5):
            assert not await journal.commit()
        assert (journal.refuses, landed, journal.waiting) == (True, [], 1)
        journal.retry()
        assert await journal.commit()
    finally:
        faults.enable("")
    assert (journal.refuses, landed, journal.waiting, journal.leases()) == (False, ["one"], 1, {"lease": 5})


async def test_an_error_after_the_write_does_not_write_it_twice(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_lease("lease")
    journal.note_final(final("one"))
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    faults.enable("edge.journal.after_write=raise:2")
    try:
        assert await journal.commit()
        journal.note_final(final("two"))
        assert await journal.commit()
    finally:
        faults.enable("")
        asyncio.get_running_loop().set_exception_handler(None)
    assert [type(error) for error in reported] == [Injected]
    assert ([row.request_id for row in journal.batch(9)], journal.leases()) == (["one", "two"], {"lease": 10})


async def test_an_error_at_the_close_leaves_the_journal_to_whoever_adopts_it(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_lease("lease")
    journal.note_final(final("one"))
    faults.enable("edge.journal.after_write=raise")
    try:
        with pytest.raises(Injected):
            journal.close()
    finally:
        faults.enable("")
    adopted = reopened(journal.path)
    assert ([row.request_id for row in adopted.batch(9)], adopted.leases()) == (["one"], {"lease": 5})


def test_a_value_that_does_not_fit_leaves_no_transaction_open(tmp_path: Path) -> None:
    store = new_journal(tmp_path)._store
    with pytest.raises(OverflowError):
        store.write(Changes(finals=[(1, "one", "lease", 1 << 70, b"r")]), now_ns=0)
    store.write(Changes(finals=[(1, "two", "lease", 5, b"r")]), now_ns=0)
    assert store.finals(after=0, most=9) == [(1, "two", "lease", 5, b"r")]


async def test_a_final_acknowledged_from_memory_lets_go_of_its_hold_and_is_not_shipped_again(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_lease("lease")
    journal.note_open("one", b"open")
    await journal.commit()
    fill_the_disk(journal)
    landed: list[str] = []
    journal.note_final(Final("one", "lease", 7, b"x" * 100_000, landed=lambda: landed.append("one")))
    assert not await journal.commit()
    journal.acked(journal.batch(10))
    assert landed == ["one"]
    assert journal.batch(10) == []
    free_the_disk(journal)
    assert await journal.commit()
    assert journal.batch(10) == []
    assert journal.opens() == []
    assert journal.leases() == {"lease": 7}


async def test_a_record_in_flight_from_memory_that_gets_written_meanwhile_is_forgotten_when_acknowledged(
    tmp_path: Path,
) -> None:
    journal = new_journal(tmp_path)
    fill_the_disk(journal)
    for number in range(3):
        journal.note_final(final(f"r{number}", record=b"x" * 100_000))
    assert not await journal.commit()
    in_flight = journal.batch(2)
    free_the_disk(journal)
    assert await journal.commit()
    journal.acked(in_flight)
    assert [row.request_id for row in journal.batch(10)] == ["r2"]
    assert journal.waiting == 1


async def test_a_full_journal_refuses_until_its_rows_are_shipped(tmp_path: Path) -> None:
    journal = new_journal(tmp_path, limit_bytes=200_000)
    for number in range(100):
        journal.note_final(final(f"r{number}", record=b"x" * 4_000))
    assert await journal.commit()
    journal.measure()
    assert journal.refuses
    journal.note_final(final("late"))
    assert await journal.commit()  # those that run may still end
    journal.acked(journal.batch(1_000))
    await journal.commit()
    journal.measure()
    assert not journal.refuses


async def test_the_age_of_the_oldest_record_is_measured(tmp_path: Path) -> None:
    now_ns = 0
    journal = new_journal(tmp_path, now_ns=lambda: now_ns)
    assert journal.measure() == 0.0
    journal.note_final(final("one"))
    await journal.commit()
    now_ns = 90_000_000_000
    assert journal.measure() == 90.0
    journal.acked(journal.batch(1))
    assert journal.measure() == 0.0


async def test_a_refused_record_is_parked_and_spends_nothing_of_its_lease(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_lease("lease")
    journal.note_final(final("good"))
    journal.note_final(final("bad", cost=7))
    await journal.commit()
    good, bad = journal.batch(10)
    journal.acked([good])
    journal.park(bad, "makes no sense")
    await journal.commit()
    assert journal.batch(10) == []
    assert journal.leases() == {"lease": 5}
    journal.forget_lease("lease")
    journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["w.journal.parked"]
    with sqlite3.connect(tmp_path / "w.journal.parked") as db:
        assert db.execute("SELECT * FROM parked").fetchall() == [("bad", "makes no sense", b"r")]
    db.close()


async def test_a_journal_of_which_nothing_is_left_is_removed(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.note_lease("lease")
    journal.note_open("one", b"open")
    journal.note_final(final("one"))
    await journal.commit()
    journal.acked(journal.batch(1))
    journal.forget_lease("lease")
    journal.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["lease", "open", "final"])
async def test_a_journal_in_which_something_is_left_is_left_to_be_adopted(tmp_path: Path, what: str) -> None:
    journal = new_journal(tmp_path)
    if what == "lease":
        journal.note_lease("lease")
    elif what == "open":
        journal.note_open("one", b"open")
    else:
        journal.note_final(final("one"))
    journal.close()
    again = reopened(journal.path)
    assert (len(again.leases()), len(again.opens()), again.waiting) == {
        "lease": (1, 0, 0),
        "open": (0, 1, 0),
        "final": (0, 0, 1),
    }[what]


async def test_after_the_close_nothing_is_written_and_nobody_waits(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.close()
    journal.note_final(final("late"))
    assert not await journal.commit()
    assert list(tmp_path.iterdir()) == []


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = -1
        while said < 500:
            said = int(process.stdout.readline())
        assert files.lock(files.path_of(tmp_path, "w")) is None
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
    said = int(rest[-1]) if rest else said

    async def look() -> None:
        journal = reopened(files.path_of(tmp_path, "w"))
        count = journal.waiting
        # The one that it was writing when it died may be there or not, but never half of it.
        assert count in (said + 1, said + 2)
        assert journal.leases() == {"lease": 5 * count}
        assert [row.request_id for row in journal.batch(20_000)] == [f"final-{number}" for number in range(count)]

    asyncio.run(look())


def test_a_file_that_is_no_journal_or_damaged_or_of_another_version_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "w.journal"
    path.write_bytes(b"nothing that SQLite wrote" * 1_000)
    with pytest.raises(UnreadableJournal):
        Store.open(path)
    path.unlink()
    path.touch()
    with pytest.raises(UnreadableJournal, match="version 0"):
        Store.open(path)
    path.unlink()
    store = Store.create(path, "w", synchronous="off")
    store.write(Changes(finals=[(number, f"r{number}", "", 0, b"x" * 2_000) for number in range(1, 200)]), now_ns=1)
    store.close()
    content = bytearray(path.read_bytes())
    content[20_000:60_000] = b"\xff" * 40_000
    path.write_bytes(content)
    with pytest.raises(UnreadableJournal):
        Store.open(path)


@pytest.mark.parametrize("sync", JournalSync)
def test_the_disk_is_flushed_as_often_as_the_setting_says(tmp_path: Path, sync: JournalSync) -> None:
    store = Store.create(tmp_path / "journal", "w", synchronous=sync.value)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (SYNCHRONOUS[sync],)
    store.close()
