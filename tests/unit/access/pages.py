"""An HTTP server on the loopback that answers as a test says, and counts what it was asked for."""

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Path, headers and JSON body (None for a GET) to status and JSON.
Answer = Callable[[str, Any, Any], tuple[int, Any]]


class Pages:
    def __init__(self, url: str, server: ThreadingHTTPServer) -> None:
        self.url = url
        self.asked: Counter[str] = Counter()
        self._server = server

    def stop(self) -> None:
        """Nobody answers any more."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def pages(answer: Answer, tls: tuple[Path, Path] | None = None) -> Iterator[Pages]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, body: Any) -> None:
            made.asked[self.path] += 1
            status, content = answer(self.path, self.headers, body)
            said = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Pages(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()
