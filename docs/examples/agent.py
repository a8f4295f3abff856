"""An agent that Assay can evaluate: it turns messages around. Run it with `python agent.py 8080`."""

import json
import sys
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TASKS: dict[str, dict[str, Any]] = {}


def create(params: dict[str, Any]) -> dict[str, Any]:
    task = {"id": str(uuid.uuid4()), "status": "RUNNING", "messages": [], "params": params["params"]}
    return TASKS.setdefault(task["id"], task)


def send(params: dict[str, Any]) -> dict[str, Any]:
    task, message = TASKS[params["task_id"]], params["message"]
    answer = {"author": "agent", "type": "text", "content": str(message["content"])[::-1]}
    task["messages"] += [message, answer]  # an agent that thinks for longer answers at once and adds its answer later
    return task


def spans(params: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    messages = TASKS[params["task_id"]]["messages"]
    return {"spans": [{"name": "turn around", "start_timestamp": now, "end_timestamp": now, "input": messages[0]}]}


METHODS = {"task/create": create, "message/send": send, "task/get": lambda p: TASKS[p["task_id"]], "span/list": spans}


class Agent(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            reply: dict[str, Any] = {"result": METHODS[call["method"]](call["params"])}
        except KeyError as missing:
            reply = {"error": {"code": -32601, "message": f"there is no {missing}"}}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"jsonrpc": "2.0", "id": call["id"], **reply}).encode())


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Agent)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
