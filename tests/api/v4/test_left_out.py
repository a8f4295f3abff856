"""Version 4 is not there yet, and says so."""

from tests.builders.stored import served_api, sqlite_storage


async def test_everything_under_v4_is_501_and_never_repeated(tmp_path):
    async with sqlite_storage(tmp_path) as storage, served_api(storage) as served:
        for prefix in ("", "/public"):
            answer = await served.raw.post(f"{prefix}/v4/evaluations/anything")
            assert (answer.status_code, answer.headers["x-should-retry"]) == (501, "false")
