import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from assay.cli.client import Client, Refused, Unreachable


@contextmanager
def _server(answers: list[tuple[int, Any]]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives the answers in turn; yields its address and the requests it saw."""
    seen: list[str] = []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, body = answers[len(seen) - 1]
            if status == 0:  # take the request and break off
                self.close_connection = True
                return
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/public/", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_reading_is_tried_again_while_the_server_is_busy() -> None:
    lost: list[bool] = []
    with _server([(200, {}), (503, {"detail": "busy"}), (503, {"detail": "busy"}), (200, {"a": 1})]) as (url, seen):
        client = Client(url, "k", on_lost=lost.append)
        client.get("/healthz")
        assert client.get("/v5/x", {"tags": "a,b"}) == {"a": 1}
    assert seen[1:] == ["GET /public/v5/x?tags=a%2Cb"] * 3
    assert lost == [True, False]


def test_writing_is_never_sent_twice_to_a_server_that_may_have_taken_it() -> None:
    with _server([(503, {"detail": "busy"})]) as (url, seen), pytest.raises(Refused, match="busy"):
        Client(url, "k").post("/v5/x", {})
    assert len(seen) == 1


def test_a_write_that_breaks_off_is_not_sent_again() -> None:
    with _server([(0, None), (200, {})]) as (url, seen), pytest.raises(Unreachable, match="broke off"):
        Client(url, "k").post("/v5/x", {})
    assert len(seen) == 1


def test_an_address_that_never_answered_is_given_up_soon() -> None:
    with _server([]) as (url, _):
        pass
    with pytest.raises(Unreachable, match="does not answer"):
        Client(url, "k").get("/healthz")


def test_problems_are_read_with_their_places() -> None:
    detail = [{"loc": ["body", "tasks", 0], "msg": "is wrong", "type": "x"}]
    with _server([(422, {"detail": detail})]) as (url, _), pytest.raises(Refused) as caught:
        Client(url, "k").post("/v5/x", {})
    assert caught.value.problems == [(["body", "tasks", 0], "is wrong")]
    assert str(caught.value) == "tasks.0: is wrong"


def test_something_that_is_no_assay_server_is_told_apart() -> None:
    with _server([(200, b"<html>")]) as (url, _), pytest.raises(Refused, match="is this an Assay server"):
        Client(url, "k").get("/")


def test_a_list_is_read_page_after_page() -> None:
    pages = [
        {"items": [{"id": "1"}, {"id": "2"}], "has_more": True},
        {"items": [{"id": "3"}], "has_more": False},
    ]
    with _server([(200, page) for page in pages]) as (url, seen):
        assert [item["id"] for item in Client(url, "k").items("/v5/x", {}, page=2)] == ["1", "2", "3"]
    assert seen[1].endswith("limit=2&starting_after=2")


@pytest.mark.parametrize(("url", "key"), [("ftp://x", "k"), ("nothing", "k"), ("http://x", "k\nsecret")])
def test_a_wrong_address_or_key_is_refused_without_showing_the_key(url: str, key: str) -> None:
    with pytest.raises(ValueError, match=r"address|API key") as caught:
        Client(url, key)
    assert "secret" not in str(caught.value)
