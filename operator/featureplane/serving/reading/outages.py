"""Why Redis cannot be read, in our own words: what the system and Redis say of an error may hold addresses, and after a
refused AUTH even a password ("unknown command, with args beginning with").
"""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import hiredis

# Answers that are about the server and not about a key, by their first word.
_OF_THE_SERVER = {
    "BUSY": "a script keeps it busy",
    "CLUSTERDOWN": "the cluster is down",
    "DENIED": "it is in protected mode, and lets nobody in from here",
    "LOADING": "it loads its data",
    "MASTERDOWN": "it is a replica that has lost its master",
    "MOVED": "it is a node of a Redis Cluster; say so in its address",
    "NOAUTH": "it wants a password",
    "NOPERM": "its ACL does not let this user read; allow HMGET on the project's keys",
    "TRYAGAIN": "slots of the cluster are on their way",
    "WRONGPASS": "it refuses the user's name or password",
}
_BY_TYPE: dict[type[BaseException], str] = {
    ConnectionRefusedError: "nothing listens at its address",
    socket.gaierror: "the name of its host is not known",
    TimeoutError: "it did not answer in time",
    FileNotFoundError: "the file with its CA certificates is not there",
    ssl.SSLCertVerificationError: "its certificate is not to be trusted",
    ssl.SSLError: "no TLS connection to it can be made",
    ConnectionError: "the connection ended",
}


def why_not_connected(error: BaseException) -> str:
    """What an error at connecting means."""
    return next((why for kind, why in _BY_TYPE.items() if isinstance(error, kind)), "it cannot be connected to")


def why_refused(command: bytes, reply: Exception) -> str:
    """What an error in answer to a command of the greeting means."""
    if "max number of clients" in str(reply):
        return "it has as many clients as it takes"
    return _OF_THE_SERVER.get(_code(reply)) or f"it refuses {command.decode()}"


def is_about_keys(reply: Exception) -> bool:
    """Whether an error is of what is read, and not of the server."""
    return _code(reply) not in _OF_THE_SERVER


def outage(replies: Iterable[Any]) -> tuple[str, str]:
    """The first error among the replies that is about the server: its first word, and what it means."""
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError) and not is_about_keys(reply):
            code = _code(reply)
            return code, _OF_THE_SERVER[code]
    return "", ""


def _code(reply: Exception) -> str:
    return str(reply).partition(" ")[0]
