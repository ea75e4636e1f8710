"""A server on the loopback that answers as it is told to, and fails as it is told to.

Each request takes one entry off the queue of faults: ``None`` lets the answer pass. When the queue
is empty, ``then`` says what happens: by default all answers pass. Requests are recorded.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

_HANG_S = 5.0


@dataclass(frozen=True)
class Request:
    """``values`` are the parameters of the query and of the form."""

    path: str
    values: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True)
class Reply:
    body: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What happens to one answer.

    Attributes:
        kind: ``reply`` sends ``reply``; ``change`` sends ``change(body)``; ``hang`` sends nothing;
            ``reset`` resets the connection; ``truncate`` stops in the middle of the body.
    """

    kind: str
    reply: Reply = Reply("")
    change: Callable[[str], str] = str


HANG, RESET, TRUNCATE = Fault("hang"), Fault("reset"), Fault("truncate")


def failing(status: int, body: str = "<html>busy</html>", **headers: str) -> Fault:
    """A fault that answers with a status; ``Retry_After="3"`` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault("reply", Reply(body, status, named))


class ApiStub:
    """A running server; a context manager. ``url`` ends with a slash.

    Args:
        answer: what a request gets when there is no fault.
        tls: a server-side context, for https.
    """

    def __init__(self, answer: Callable[[Request], Reply], tls: ssl.SSLContext | None = None):
        self.answer, self.requests = answer, list[Request]()
        self.faults: deque[Fault | None] = deque()
        self.then: Fault | None = None
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/"
        serve = {"poll_interval": 0.01}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=serve)

    def __enter__(self) -> ApiStub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def script(self, faults: Iterable[Fault | None], then: Fault | None = None) -> None:
        """Start anew: forget requests, queue these faults, and then do ``then`` for ever."""
        self.requests.clear()
        self.faults, self.then = deque(faults), then

    def next_fault(self) -> Fault | None:
        return self.faults.popleft() if self.faults else self.then


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: ApiStub

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that give up, and TLS that is refused, are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve("")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())

    def _serve(self, form: str) -> None:
        stub, url = self.server.stub, urlsplit(self.path)
        values = dict(parse_qsl(url.query) + parse_qsl(form))
        request = Request(url.path, values, dict(self.headers))
        stub.requests.append(request)
        fault = stub.next_fault()
        if fault is None:
            self._send(stub.answer(request))
        elif fault.kind == "reply":
            self._send(fault.reply)
        elif fault.kind == "change":
            reply = stub.answer(request)
            self._send(Reply(fault.change(reply.body), reply.status, reply.headers))
        elif fault.kind == "truncate":
            self._send(stub.answer(request), share=0.5)
        elif fault.kind == "hang":
            stub.closing.wait(_HANG_S)
        else:
            self._reset()

    def _send(self, reply: Reply, share: float = 1.0) -> None:
        body = reply.body.encode("utf-8", "surrogatepass")
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: int(len(body) * share)])

    def _reset(self) -> None:
        """Close with a linger time of zero, which sends RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
