"""The demo's stand-in for a model: a local OpenAI-shaped endpoint that answers by a fixed rule and says so."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "demo/not-a-model"
SECONDS_AN_ANSWER = 0.03
_ASKED = re.compile(r"continent is (.+?)\?")


def answer(question: str) -> str:
    """A continent guessed from how the country's name is spelt."""
    asked = _ASKED.search(question)
    name = asked[1] if asked else ""
    if "Island" in name:
        continent = "Oceania"
    elif name.endswith(("an", "sh", "q", "nei")):
        continent = "Asia"
    elif name.endswith(("land", "ium", "ia", "way", "ark")):
        continent = "Europe"
    elif "Saint" in name or name.endswith(("aica", "dos")):
        continent = "North America"
    else:
        continent = "Africa"
    return f"{continent}, guessed from the spelling: I am a fixed rule, not a model."


@contextmanager
def stand_in() -> Iterator[str]:
    """Serve it on a free port of this machine while the block lasts; gives its base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together; apart, they wait for each other's acknowledgement
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        request = self._request()
        if self.path != "/v1/chat/completions" or request is None:
            self._reply(404, {"error": {"message": "this stand-in only completes chats"}})
            return
        time.sleep(SECONDS_AN_ANSWER)
        said = answer(str(request["messages"][-1].get("content")))
        words = len(said.split())
        message = {"role": "assistant", "content": said}
        usage = {"prompt_tokens": 0, "completion_tokens": words, "total_tokens": words}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._reply(
            200,
            {
                "id": "stand-in",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": MODEL,
                "choices": [choice],
                "usage": usage,
            },
        )

    def _request(self) -> dict[str, Any] | None:
        """The request's body, or None when it is no chat."""
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
            return body if body["messages"] else None
        except (ValueError, KeyError, TypeError):
            return None

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the progress is on the screen."""
