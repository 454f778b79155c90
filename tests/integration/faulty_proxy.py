"""An HTTP proxy in front of a storage server that breaks the answers it is told to."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STALL_S = 30.0


@dataclass(frozen=True)
class Request:
    """What a client sent. Requests are counted from 0 since the fault was last set."""

    number: int
    method: str
    path: str
    headers: dict[str, str]


Fault = Callable[[Request], str | None]
"""None: pass it on. `503`, `stall`, `reset`: without asking the server. `lost`: ask it, then reset. `truncated`: half
of the body, then close. `short`: half of the body, and headers that say so. `slow`: in small pieces."""


class FaultyProxy:
    """Listens on a port of loopback until closed."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.requests: list[Request] = []
        self.broken = 0
        """Answers that were broken since the fault was last set."""
        self._fault: Fault = lambda request: None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        proxy = self

        class Handler(_Handler):
            def relay(self) -> None:
                proxy.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def set(self, fault: Fault | None) -> None:
        """Breaks answers from now on, and forgets what was asked before."""
        with self._lock:
            self._fault = fault or (lambda request: None)
            self.requests, self.broken = [], 0

    def close(self) -> None:
        """Stops listening."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: "_Handler") -> None:
        """Relays one request, or breaks it."""
        body = handler.read_body()
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            request = Request(len(self.requests), handler.command, handler.path, headers)
            self.requests.append(request)
            fault = self._fault(request)
            self.broken += fault not in (None, "slow")
        if fault == "503":
            handler.wfile.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
            return
        if fault in ("stall", "reset"):
            if fault == "stall":
                self._closing.wait(STALL_S)
            handler.reset()
            return
        status, lines, answer = self._ask(handler, body)
        if fault == "lost":
            handler.reset()
            return
        half = answer[: len(answer) // 2]
        length = next((int(value) for name, value in lines if name.lower() == "content-length"), 0)
        length = len(half) if fault == "short" else length
        kept = [(name, value) for name, value in lines if name.lower() not in ("content-length", "transfer-encoding")]
        head = "".join(f"{name}: {value}\r\n" for name, value in [*kept, ("Content-Length", length)])
        handler.wfile.write(f"HTTP/1.1 {status} Relayed\r\n{head}\r\n".encode())
        if fault == "slow":
            for start in range(0, len(answer), 4096):
                handler.wfile.write(answer[start : start + 4096])
                self._closing.wait(0.002)
        else:
            handler.wfile.write(half if fault in ("truncated", "short") else answer)
        if fault == "truncated":
            handler.close_connection = True

    def _ask(self, handler: "_Handler", body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        server = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=60)
        server.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            if name.lower() != "expect":
                server.putheader(name, value)
        server.endheaders()
        server.send(body)
        response = server.getresponse()
        answer = response.read()
        lines = response.getheaders()
        if handler.command != "HEAD" and response.getheader("content-length") is None:
            lines.append(("Content-Length", str(len(answer))))
        server.close()
        return response.status, lines, answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def relay(self) -> None:
        raise NotImplementedError

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = lambda self: self.relay()  # noqa: N815

    def log_message(self, *words: object) -> None:
        pass

    def read_body(self) -> bytes:
        """The body as it came, with the frames of a chunked one."""
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while True:
            line = self.rfile.readline()
            size = int(line.split(b";")[0], 16)
            body += line + self.rfile.read(size + 2 if size else 0)
            if not size:
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    body += line
                return body + b"\r\n"

    def reset(self) -> None:
        """Ends the connection as a crash of the peer does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()
