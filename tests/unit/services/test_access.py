"""Keys on the real SQLite storage: shown once, kept hashed, bound to accounts, revoked within seconds."""

import pytest

from assay.core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from assay.core.identity import Identity
from assay.services.access import Access, hash_secret
from tests.builders.stored import MovableClock, sqlite_storage


@pytest.fixture
async def storage(tmp_path):
    async with sqlite_storage(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock():
    return MovableClock()


async def test_a_key_is_shown_once_and_kept_hashed(storage, clock):
    access = Access(storage, clock)
    key, secret = await access.create_key("ci")
    assert secret.startswith("assay_")
    assert len(secret) == len("assay_") + 43
    assert key.secret_hash == hash_secret(secret)
    (listed,) = await access.list_keys()
    assert secret not in repr(listed)
    assert secret.startswith(listed.hint)
    caller = await access.authenticate(secret)
    assert (caller.account_id, caller.identity) == ("default", key.identity)


async def test_a_key_acts_in_its_own_accounts_only(storage, clock):
    access = Access(storage, clock)
    _, secret = await access.create_key("two", account_ids=["a", "b"], identity=Identity("me"))
    assert (await access.authenticate(secret)).account_id == "a"
    assert (await access.authenticate(secret, "b")).account_id == "b"
    for other in ("default", "nowhere"):
        with pytest.raises(Forbidden):
            await access.authenticate(secret, other)


async def test_an_unknown_key_opens_nothing_and_a_new_one_works_at_once(storage, clock):
    access = Access(storage, clock)
    with pytest.raises(Unauthenticated):
        await access.authenticate("assay_unknown")
    elsewhere = Access(storage, clock)
    await elsewhere.ensure_key("chosen", "assay_unknown_but_long_enough")
    assert await access.authenticate("assay_unknown_but_long_enough")


async def test_revoking_takes_effect_at_once_here_and_within_five_seconds_elsewhere(storage, clock):
    here, elsewhere = Access(storage, clock), Access(storage, clock)
    key, secret = await here.create_key("short-lived")
    await here.authenticate(secret)
    await elsewhere.authenticate(secret)
    await here.revoke_key(key.id)
    with pytest.raises(Unauthenticated):
        await here.authenticate(secret)
    clock.tick(5)
    with pytest.raises(Unauthenticated):
        await elsewhere.authenticate(secret)
    with pytest.raises(NotFound):
        await here.revoke_key(key.id)


async def test_a_remembered_key_costs_no_query(storage, clock):
    access = Access(storage, clock)
    _, secret = await access.create_key("busy")
    await access.authenticate(secret)
    await storage.close()
    assert await access.authenticate(secret)


async def test_a_chosen_key_is_added_once_must_be_long_and_stays_revoked(storage, clock):
    access = Access(storage, clock)
    first = await access.ensure_key("set", "0123456789abcdef")
    assert (await access.ensure_key("set", "0123456789abcdef")).id == first.id
    assert len(await access.list_keys()) == 1
    with pytest.raises(InvalidInput):
        await access.ensure_key("set", "short")
    await access.revoke_key(first.id)
    with pytest.raises(Unauthenticated):
        await access.ensure_key("set", "0123456789abcdef")


async def test_a_new_account_is_the_makers_last_and_nobody_elses(storage, clock):
    access = Access(storage, clock)
    _, secret = await access.create_key("maker")
    _, other = await access.create_key("other")
    account = await access.create_account(await access.authenticate(secret), "lab")
    caller = await access.authenticate(secret)
    assert caller.accounts == ("default", account.id)
    assert (await access.authenticate(secret, account.id)).account_id == account.id
    assert [each.name for each in (await access.profile(caller)).accounts] == ["default", "lab"]
    with pytest.raises(Forbidden):
        await access.authenticate(other, account.id)


async def test_a_caller_acts_only_within_its_accounts(storage, clock):
    access = Access(storage, clock)
    _, secret = await access.create_key("two", account_ids=["a", "b"])
    caller = await access.authenticate(secret)
    assert (caller.account_id, caller.accounts, caller.selected) == ("a", ("a", "b"), False)
    assert caller.within(None) is caller
    within = caller.within("b")
    assert (within.account_id, within.accounts, within.selected) == ("b", ("b", "a"), True)
    assert (await access.authenticate(secret, "a")).selected
    for other in ("default", ""):
        with pytest.raises(Forbidden):
            caller.within(other)


async def test_a_user_is_known_by_an_unrevoked_key_of_a_shared_account(storage, clock):
    access = Access(storage, clock)
    _, secret = await access.create_key("mine", account_ids=["a", "b"], identity=Identity("me", "user"))
    bobs, _ = await access.create_key("bob", account_ids=["c", "b"], identity=Identity("bob", "user"))
    await access.create_key("eve", account_ids=["c"], identity=Identity("eve", "user"))
    caller = await access.authenticate(secret)
    bob = await access.user(caller, "bob")
    assert (bob.identity, [each.id for each in bob.accounts]) == (Identity("bob", "user"), ["b"])
    await access.revoke_key(bobs.id)
    for unknown in ("bob", "eve", "nobody"):
        with pytest.raises(NotFound):
            await access.user(caller, unknown)
