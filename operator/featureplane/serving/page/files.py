"""The page's files over HTTP. They are for everybody: what they show, they ask for at routes that may want a token."""

from importlib.resources import files

from featureplane.serving.http.asgi import Scope, Send
from featureplane.serving.http.routes import Headers, Route, Routes, reply_tagged

_FILES = {
    "/": ("page.html", b"text/html; charset=utf-8"),
    "/page/page.css": ("page.css", b"text/css; charset=utf-8"),
    "/page/page.js": ("page.js", b"text/javascript; charset=utf-8"),
    # Browsers ask for it wherever they are.
    "/favicon.ico": ("icon.svg", b"image/svg+xml"),
}
# What needs no token.
OPEN_PATHS = frozenset(_FILES)

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Headers = ((b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer"))


def page_routes() -> Routes:
    """A route for each of the page's files."""
    return {path: _route(name, content_type) for path, (name, content_type) in _FILES.items()}


def _route(name: str, content_type: bytes) -> Route:
    body = files(__package__).joinpath(name).read_bytes()

    async def route(scope: Scope, send: Send) -> None:
        await reply_tagged(scope, send, body, content_type, _HEADERS)

    return route
