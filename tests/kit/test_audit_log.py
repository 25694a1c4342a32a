"""The audit log: what is written is listed, nothing is changed, and nothing is told of what did not happen."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import MetaData

from kit import audit_log, migrations
from kit.audit_log import Act, AuditEvent, Change
from kit.audit_table import audit_events
from kit.database import Database
from kit.errors import InvalidArgument
from kit.ids import IdFactory
from kit.paging import Page
from tests.support.databases import Databases

NOW = datetime(2026, 5, 15, 6, 23, tzinfo=UTC)
ALICE, BOB = uuid4(), uuid4()
ALL = Page(100, 0)


@dataclass
class Log:
    """A log in the schema `sample`, and acts in the order of time."""

    database: Database
    ids: IdFactory

    async def write(self, actor_id: UUID | None = ALICE, reason: str = "", **event: Any) -> UUID:
        act = Act(event_id=self.ids(), actor_id=actor_id, time=NOW, reason=reason)
        values = {"action": "thing.moved", "subject_kind": "thing", "subject_id": "7"} | event
        async with self.database.transaction() as c:
            await audit_log.write(c, "sample", act, **values)
        return act.event_id

    async def listed(self, page: Page = ALL, **filters: Any) -> tuple[list[AuditEvent], int]:
        async with self.database.reader() as c:
            return await audit_log.events_page(c, "sample", page, **filters)

    async def ids_of(self, page: Page = ALL, **filters: Any) -> list[UUID]:
        return [event.id for event in (await self.listed(page, **filters))[0]]


@pytest.fixture
async def log(databases: Databases, things: Database, things_url: str) -> Log:
    metadata = MetaData(schema="sample")
    audit_events(metadata)
    async with migrations.engine(things_url).begin() as connection:
        await connection.run_sync(metadata.create_all)
    admin = await databases.admin(things_url)
    await admin.execute("GRANT SELECT, INSERT ON sample.audit_events TO privaterouter_sample")
    return Log(things, IdFactory())


async def test_what_is_written_is_listed_whole(log: Log) -> None:
    details = {"size": Change("1", "2"), "colour": Change(None, "blue"), "owner": Change('"Å"', None)}
    event_id = await log.write(ALICE, "it was in the way", subject_id=BOB, details=details)
    event = AuditEvent(
        id=event_id,
        create_time=NOW,
        actor_id=ALICE,
        action="thing.moved",
        subject_kind="thing",
        subject_id=str(BOB),
        reason="it was in the way",
        details=details,
    )
    assert await log.listed() == ([event], 1)


async def test_the_newest_come_first_in_pages(log: Log) -> None:
    first, second, third = [await log.write() for _ in range(3)]
    assert await log.ids_of() == [third, second, first]
    assert await log.ids_of(Page(1, 1)) == [second]
    assert await log.listed(Page(1, 3)) == ([], 3)


async def test_events_are_found_by_who_what_and_to_whom(log: Log) -> None:
    by_bob = await log.write(BOB, subject_id="8")
    by_console = await log.write(None)
    made = await log.write(ALICE, action="thing.made")
    assert await log.ids_of(actor_id=BOB) == [by_bob]
    assert await log.ids_of(subject_id="7") == [made, by_console]
    assert await log.ids_of(action="thing.made") == [made]
    assert (await log.listed(Page(1, 0), actor_id=ALICE, subject_id="7", action="thing.made"))[1] == 1
    assert await log.listed(actor_id=BOB, subject_id="7") == ([], 0)
    assert (await log.listed(subject_id="7"))[0][1].actor_id is None


async def test_an_act_that_is_rolled_back_was_none(log: Log) -> None:
    async def write_and_fail() -> None:
        async with log.database.transaction() as c:
            act = Act(event_id=uuid4(), actor_id=ALICE, time=NOW)
            await audit_log.write(c, "sample", act, action="thing.moved", subject_kind="thing", subject_id="7")
            raise LookupError

    with pytest.raises(LookupError):
        await write_and_fail()
    assert await log.listed() == ([], 0)


@pytest.mark.parametrize(
    "event", [{"action": "moved"}, {"subject_id": ""}, {"subject_kind": ""}, {"reason": "x" * 501}]
)
async def test_an_event_that_says_nothing_is_refused(log: Log, event: dict[str, Any]) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await log.write(**event)


def test_the_act_of_a_request_names_a_user_or_the_command_line() -> None:
    event_id = uuid4()
    assert audit_log.act(str(ALICE), "why", event_id=event_id, now=NOW) == Act(
        event_id=event_id, actor_id=ALICE, time=NOW, reason="why"
    )
    assert audit_log.act("", event_id=event_id, now=NOW) == Act(event_id=event_id, actor_id=None, time=NOW)


@pytest.mark.parametrize(
    "actor_id, reason, field",
    [("alice", "", "actor_id"), ("", "x" * 501, "reason"), ("", "two\nlines", "reason")],
)
def test_an_act_of_nobody_or_for_no_printable_reason_is_refused(actor_id: str, reason: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        audit_log.act(actor_id, reason, event_id=uuid4(), now=NOW)
    assert caught.value.metadata == {"field": field}


def test_changes_are_the_fields_that_differ_as_text() -> None:
    old = {"same": 1, "number": 1, "gone": "x", "flag": False, "names": ("a",), "time": None, "left": 5}
    new = {
        "same": 1,
        "number": 20_000_000_000,
        "gone": None,
        "flag": True,
        "names": ("a", "b"),
        "time": NOW + timedelta(microseconds=5),
        "fresh": "y",
    }
    assert audit_log.changes(old, new) == {
        "number": Change("1", "20000000000"),
        "gone": Change("x", None),
        "flag": Change("false", "true"),
        "names": Change("a", "a, b"),
        "time": Change(None, "2026-05-15T06:23:00.000005Z"),
        "fresh": Change(None, "y"),
    }
