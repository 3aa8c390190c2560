"""Any text in a header of HTTP or in a trailer of gRPC, as gRPC's protocol over HTTP/2 has its status messages."""

from urllib.parse import quote

# Printable ASCII without %.
_AS_IT_IS = "".join(chr(each) for each in range(0x20, 0x7F) if each != ord("%"))


def percent_encoded(text: str) -> bytes:
    """The text in printable ASCII; what is not is told by the bytes of its UTF-8."""
    return quote(text, safe=_AS_IT_IS).encode("ascii")
