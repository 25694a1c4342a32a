"""The journal's SQLite file: all SQL of the edge."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

VERSION = 1
_WAL_BYTES = 16 << 20
_SCHEMA = """
CREATE TABLE worker (worker_id TEXT NOT NULL);
CREATE TABLE leases (lease_id TEXT PRIMARY KEY, spent_nanos INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE opens (request_id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE finals (
    sequence INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    lease_id TEXT NOT NULL,
    cost_nanos INTEGER NOT NULL,
    written_ns INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE TABLE parked (request_id TEXT PRIMARY KEY, detail TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
"""

FinalRow = tuple[int, str, str, int, bytes]
"""Sequence, request id, lease id, cost in nano-dollars, serialised record."""


class UnreadableJournal(Exception):
    """A file that is no journal, a damaged one, or one of another version."""


@dataclass(slots=True)
class Changes:
    """What one transaction does, in this order."""

    new_leases: list[str] = field(default_factory=list)
    opens: dict[str, bytes] = field(default_factory=dict)
    """Records of running requests as they stand, by request id."""
    ended: list[str] = field(default_factory=list)
    """Requests whose open record goes."""
    finals: list[FinalRow] = field(default_factory=list)
    spent: dict[str, int] = field(default_factory=dict)
    """Nano-dollars to add to what was spent of a lease, by lease id; negative where a record was refused."""
    parked: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Request id, why usage refused it, and the record."""
    acked_to: int = 0
    """Finals up to this sequence number go."""
    old_leases: list[str] = field(default_factory=list)


class Store:
    """One journal file, opened by the process that has its lock. Methods raise sqlite3.Error."""

    def __init__(self, db: sqlite3.Connection, worker_id: str) -> None:
        self._db = db
        self._deleted_to = 0
        self.worker_id = worker_id

    @classmethod
    def create(cls, path: Path, worker_id: str, *, synchronous: str) -> "Store":
        """A new journal in an empty file."""
        db = _connect(path, synchronous)
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        db.execute("INSERT INTO worker VALUES (?)", (worker_id,))
        return cls(db, worker_id)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """A journal that exists. UnreadableJournal."""
        try:
            db = _connect(path, "off")
            try:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                if version != VERSION:
                    raise UnreadableJournal(f"version {version} instead of {VERSION}")
                (fault,) = db.execute("PRAGMA quick_check(1)").fetchone()
                if fault != "ok":
                    raise UnreadableJournal(fault)
                (worker_id,) = db.execute("SELECT worker_id FROM worker").fetchone()
                return cls(db, worker_id)
            except BaseException:
                db.close()
                raise
        except (sqlite3.Error, TypeError) as error:
            raise UnreadableJournal(str(error)) from error

    def write(self, changes: Changes, *, now_ns: int) -> None:
        """One transaction: all of it, or an error (sqlite3.Error, or of a value that does not fit) and nothing."""
        db = self._db
        try:
            db.execute("BEGIN")
            self._each("INSERT OR IGNORE INTO leases (lease_id) VALUES (?)", _rows(changes.new_leases))
            self._each("INSERT OR REPLACE INTO opens VALUES (?, ?)", list(changes.opens.items()))
            self._each("DELETE FROM opens WHERE request_id = ?", _rows(changes.ended))
            self._each(
                "INSERT INTO finals VALUES (?, ?, ?, ?, ?, ?)",
                [(*row[:4], now_ns, row[4]) for row in changes.finals],
            )
            self._each(
                "UPDATE leases SET spent_nanos = spent_nanos + ? WHERE lease_id = ?",
                [(nanos, lease_id) for lease_id, nanos in changes.spent.items()],
            )
            self._each("INSERT OR REPLACE INTO parked VALUES (?, ?, ?)", changes.parked)
            if changes.acked_to > self._deleted_to:
                db.execute("DELETE FROM finals WHERE sequence <= ?", (changes.acked_to,))
            self._each("DELETE FROM leases WHERE lease_id = ?", _rows(changes.old_leases))
            db.execute("COMMIT")
            self._deleted_to = changes.acked_to
        except Exception:
            # When the disk is full, SQLite has rolled back already.
            if db.in_transaction:
                db.rollback()
            raise

    def _each(self, statement: str, rows: Sequence[tuple[str | int | bytes, ...]]) -> None:
        if rows:
            self._db.executemany(statement, rows)

    def finals(self, *, after: int, most: int) -> list[FinalRow]:
        """The oldest final records behind a sequence number."""
        rows: list[FinalRow] = self._db.execute(
            "SELECT sequence, request_id, lease_id, cost_nanos, record FROM finals"
            " WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, most),
        ).fetchall()
        return rows

    def finals_end(self) -> tuple[int, int]:
        """How many final records there are, and the highest sequence number."""
        count, last = self._db.execute("SELECT count(*), coalesce(max(sequence), 0) FROM finals").fetchone()
        return count, last

    def oldest_ns(self, *, after: int) -> int | None:
        """When the oldest final record behind a sequence number was written, in nanoseconds since 1970."""
        row = self._db.execute(
            "SELECT written_ns FROM finals WHERE sequence > ? ORDER BY sequence LIMIT 1", (after,)
        ).fetchone()
        return int(row[0]) if row else None

    def opens(self) -> list[bytes]:
        """The open records, as last noted."""
        return [record for (record,) in self._db.execute("SELECT record FROM opens ORDER BY request_id")]

    def leases(self) -> dict[str, int]:
        """Nano-dollars spent of each lease in all, by lease id."""
        return dict(self._db.execute("SELECT lease_id, spent_nanos FROM leases").fetchall())

    def parked(self) -> int:
        """How many refused records are kept."""
        return int(self._db.execute("SELECT count(*) FROM parked").fetchone()[0])

    def used_bytes(self) -> int:
        """Size of the file without its unused pages."""
        pages, unused, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - unused) * size)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    # A journal to adopt is opened and checked in a thread, since that may take a while.
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # One process has the file: no shared memory file, and no system call for each lock.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def _rows(values: Sequence[str]) -> list[tuple[str]]:
    return [(value,) for value in values]
