"""What operators see and change of users; above all that an admin is always left."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from privaterouter.auth.v1 import auth_pb2 as pb
from tests.services.auth.conftest import PASSWORD, Auth, refusal

NOBODY = str(uuid4())


async def create(auth: Auth, email: str, role: pb.UserRole.ValueType = pb.USER_ROLE_USER, name: str = "") -> pb.User:
    request = pb.CreateUserRequest(email=email, password=PASSWORD, role=role, name=name)
    return (await auth.stub.CreateUser(request)).user


async def update(auth: Auth, user_id: str, *paths: str, **values: Any) -> pb.User:
    request = pb.UpdateUserRequest(
        user=pb.User(id=user_id, **values), update_mask=FieldMask(paths=paths or list(values))
    )
    return (await auth.stub.UpdateUser(request)).user


async def listed(auth: Auth, **request: Any) -> tuple[list[str], int]:
    answer = await auth.stub.ListUsers(pb.ListUsersRequest(**request))
    return [user.email for user in answer.users], answer.total


async def test_a_user_is_found_by_id(auth: Auth) -> None:
    user = (await auth.sign_up()).user
    assert (await auth.stub.GetUser(pb.GetUserRequest(user_id=user.id))).user == user


async def test_an_unknown_user_is_not_found(auth: Auth) -> None:
    assert (await refusal(auth.stub.GetUser(pb.GetUserRequest(user_id=NOBODY))))[:2] == ("NOT_FOUND", "USER_NOT_FOUND")
    assert (await refusal(auth.stub.GetUser(pb.GetUserRequest(user_id="1"))))[2] == {"field": "user_id"}
    assert (await refusal(update(auth, NOBODY, name="x")))[:2] == ("NOT_FOUND", "USER_NOT_FOUND")


async def test_users_are_found_by_their_ids_those_that_exist(auth: Auth) -> None:
    alice, bob = (await auth.sign_up()).user, await create(auth, "bob@example.com")

    async def found(*user_ids: str) -> list[pb.User]:
        answer = await auth.stub.BatchGetUsers(pb.BatchGetUsersRequest(user_ids=user_ids))
        return sorted(answer.users, key=lambda user: user.email)

    assert await found(bob.id, NOBODY, alice.id) == [alice, bob]
    assert await found() == []
    for bad in (["x"], [NOBODY] * 1_001):
        assert (await refusal(found(*bad)))[2] == {"field": "user_ids"}


async def test_users_are_listed_newest_first_in_pages(auth: Auth) -> None:
    for number in range(3):
        await create(auth, f"user{number}@example.com")
    assert await listed(auth) == (["user2@example.com", "user1@example.com", "user0@example.com"], 3)
    assert await listed(auth, limit=1, offset=1) == (["user1@example.com"], 3)
    assert await listed(auth, offset=9) == ([], 3)
    for bad in ({"limit": 201}, {"limit": -1}, {"offset": -1}):
        assert (await refusal(listed(auth, **bad)))[2] == {"field": next(iter(bad))}


async def test_users_are_searched_by_email_and_name(auth: Auth) -> None:
    await create(auth, "alice@example.com", name="Alice Ångström")
    await create(auth, "bob@100%.example".replace("%", "x"), name="50%_off")
    assert await listed(auth, search="ALICE") == (["alice@example.com"], 1)
    assert await listed(auth, search="ngström ÅN") == ([], 0)
    assert await listed(auth, search="comalice") == await listed(auth, search="com alice") == ([], 0)
    assert await listed(auth, search="ngstr") == (["alice@example.com"], 1)
    assert await listed(auth, search="50%_") == (["bob@100x.example"], 1)
    assert await listed(auth, search="%") == (["bob@100x.example"], 1)
    assert await listed(auth, search="\\") == ([], 0)
    assert await listed(auth, email="ALICE@example.com") == (["alice@example.com"], 1)
    assert await listed(auth, email="alice") == ([], 0)
    assert await listed(auth, email="alice@example.com", search="bob") == ([], 0)
    assert (await refusal(listed(auth, search="a\x00b")))[2] == {"field": "search"}


async def test_a_search_that_finds_many_is_paged_like_any_other(auth: Auth) -> None:
    await auth.admin.execute(
        "INSERT INTO auth.users SELECT gen_random_uuid(), n || '@example.com', 'N' || n, 'user', 'active',"
        " '$argon2id$', now() FROM generate_series(1, 1200) n"
    )
    pages = [(await listed(auth, search="EXAMPLE", limit=200, offset=offset))[0] for offset in range(0, 1400, 200)]
    assert [len(page) for page in pages] == [200] * 6 + [0]
    assert {email for page in pages for email in page} == {f"{n}@example.com" for n in range(1, 1201)}
    few = await listed(auth, search="n119")
    assert (set(few[0]), few[1]) == ({f"{n}@example.com" for n in (119, *range(1190, 1200))}, 11)


async def test_only_the_named_fields_change(auth: Auth) -> None:
    user = (await auth.sign_up()).user
    changed = await update(auth, user.id, "name", name="Alicia", role=pb.USER_ROLE_ADMIN)
    user.name = "Alicia"
    assert changed == user
    assert (await auth.stub.GetUser(pb.GetUserRequest(user_id=user.id))).user == user
    assert (await update(auth, user.id, "name")).name == ""
    assert (await update(auth, user.id, role=pb.USER_ROLE_ADMIN)).role == pb.USER_ROLE_ADMIN
    assert await auth.revocations() == []


@pytest.mark.parametrize(
    "paths, values, field",
    [
        pytest.param((), {}, "update_mask", id="no field"),
        pytest.param(("email",), {"email": "x@example.com"}, "update_mask", id="email"),
        pytest.param(("role",), {}, "role", id="role unset"),
        pytest.param(("status",), {}, "status", id="status unset"),
        pytest.param(("status",), {"status": 7}, "status", id="status unknown"),
        pytest.param(("name",), {"name": "x" * 101}, "name", id="name too long"),
    ],
)
async def test_a_bad_change_is_refused(auth: Auth, paths: tuple[str, ...], values: Any, field: str) -> None:
    user = (await auth.sign_up()).user
    call = update(auth, user.id, *paths, **values)
    assert await refusal(call) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", {"field": field})
    assert (await auth.stub.GetUser(pb.GetUserRequest(user_id=user.id))).user == user


@pytest.mark.parametrize("change", [{"role": pb.USER_ROLE_USER}, {"status": pb.USER_STATUS_DISABLED}])
async def test_the_last_active_admin_stays_one(auth: Auth, change: dict[str, Any]) -> None:
    admin = await create(auth, "root@example.com", pb.USER_ROLE_ADMIN)
    disabled = await create(auth, "old@example.com", pb.USER_ROLE_ADMIN)
    await update(auth, disabled.id, status=pb.USER_STATUS_DISABLED)
    assert (await refusal(update(auth, admin.id, **change)))[:2] == ("FAILED_PRECONDITION", "LAST_ADMIN")
    assert (await auth.stub.GetUser(pb.GetUserRequest(user_id=admin.id))).user == admin
    await update(auth, admin.id, name="Root", role=pb.USER_ROLE_ADMIN)
    await update(auth, disabled.id, status=pb.USER_STATUS_ACTIVE)
    await update(auth, admin.id, **change)


async def test_admins_who_disable_each_other_at_once_leave_one(auth: Auth) -> None:
    admins = [await create(auth, f"root{number}@example.com", pb.USER_ROLE_ADMIN) for number in range(5)]
    answers = await asyncio.gather(
        *(update(auth, admin.id, status=pb.USER_STATUS_DISABLED) for admin in admins), return_exceptions=True
    )
    assert sum(isinstance(answer, pb.User) for answer in answers) == 4
    assert await auth.admin.fetchval("SELECT count(*) FROM auth.users WHERE status = 'active'") == 1


async def test_disabling_a_disabled_user_again_changes_nothing(auth: Auth) -> None:
    user = (await auth.sign_up()).user
    first = await update(auth, user.id, status=pb.USER_STATUS_DISABLED)
    assert await update(auth, user.id, status=pb.USER_STATUS_DISABLED) == first
    assert await auth.revocations() == [pb.Revocation(sequence=1, user_id=user.id)]
