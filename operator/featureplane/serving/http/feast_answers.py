"""What of the errors of Feast's own app a client hears. Feast says the exception's text, whatever it is of: hosts,
users, SQL, even a password that Redis refused.
"""

import json
import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

from featureplane.serving.reading.refusals import Refused
from featureplane.settings import CassandraAccount, PostgresAddress, RedisAddress

# Of an error's body; a validation says what it was sent, which is 1 MiB at the most.
MOST_OF_AN_ERROR = 2 << 20
_MOST_LOGGED = 500
FAILED = "Feast's own app, which answers for this, failed; the server's log has more of it"
_REFUSED = "Feast's own app, which answers for this, refuses the request; the server's log says why"
# What Feast says with a 500 of a request that its client can mend; its beginning, which no value of a client's makes.
_OF_THE_REQUEST = re.compile(
    r'"Version-qualified ref \'[\w.-]+@v\d+\' not supported: online versioning is disabled\.'
    r'|"Feature view \'[\w.-]+\' is (?:disabled|in state \'\w+\') and cannot serve features\.'
    r'|"\{\\"module\\": ?\\"feast\.errors\\", ?\\"class\\": ?\\"FeatureNameCollisionError\\"'
)
# Servers that Cassandra's driver was told of by others, or names resolved to: addresses with the port of them all.
# Bounded, for what a client sent may be in the text.
_IPV4 = r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}"
_IPV6 = r"(?<![\w.:])(?=[0-9a-fA-F]{0,4}:[0-9a-fA-F]{0,4}:)[0-9a-fA-F:]{2,39}"
logger = logging.getLogger(__name__)


class Secrets:
    """What no client is told: where the stores are, and who reads them. `nodes` are hosts and ports of Cassandra."""

    def __init__(
        self,
        postgres: PostgresAddress | None = None,
        redis: RedisAddress | None = None,
        cassandra: CassandraAccount | None = None,
        nodes: Sequence[tuple[str, int]] = (),
    ) -> None:
        keywords = postgres.keywords if postgres else {}
        hosts = [keywords.get("host", ""), keywords.get("hostaddr", ""), redis.host if redis else ""]
        hosts += [host for host, _ in nodes]
        accounts = [each for each in (redis, cassandra) if each]
        users = [keywords.get("user", ""), *(each.username for each in accounts)]
        passwords = [keywords.get("password", ""), *(each.password for each in accounts)]
        # A user may be called as the project is, and a host as a view: they count where errors have them.
        hosts_said = (
            rf"(?:@|//|\bhost\W{{1,4}}|\bat\W{{1,3}}|\bto\W{{1,3}})(?:{_any(hosts)})(?![\w.-])|(?:{_any(hosts)}):\d"
        )
        # As the driver writes an address, and as Python does.
        ports = "|".join(str(port) for _, port in nodes)
        nodes_said = rf"(?:{_IPV4}|{_IPV6}|{_any(hosts)})(?:'?, |\]?:)(?:{ports})(?!\d)" if nodes else r"(?!)"
        users_said = rf"\b(?i:user|role|username)\W{{1,4}}(?:{_any(users)})(?!\w)|(?<!\w)(?:{_any(users)})[:@]"
        passwords_said = rf"(?<!\w)(?:{_any(each for password in passwords for each in _written(password))})(?!\w)"
        self._passwords = re.compile(passwords_said)
        self._said = re.compile(rf"{hosts_said}|{nodes_said}|{users_said}|{passwords_said}|\b\w+://[^\s/]*@")

    def are_in(self, text: str) -> bool:
        return self._said.search(text) is not None

    def without_passwords(self, text: str) -> str:
        return self._passwords.sub("***", text)


def _written(password: str) -> Iterable[str]:
    """A password as it may stand in an error: by itself, in Python's words, in JSON, and in JSON in that."""
    once = [json.dumps(password, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    return {password, repr(password)[1:-1], *once, *(json.dumps(each)[1:-1] for each in once)}


def _any(words: Iterable[str]) -> str:
    """A pattern of whole words, which without any matches nothing."""
    return "|".join(re.escape(word) for word in words if word) or r"(?!)"


def error_of(status: int, body: bytes, secrets: Secrets, request_id: str) -> Refused | None:
    """What is said in place of Feast's `body`, cut at its most, with the log saying what that was; None to keep it.

    Feast's SDK makes its exceptions of what is kept.
    """
    text = body.decode(errors="replace")
    is_ours_to_mend = status >= 500 and _OF_THE_REQUEST.match(text) is None  # noqa: PLR2004 - HTTP's
    if not is_ours_to_mend and len(body) <= MOST_OF_AN_ERROR and not secrets.are_in(text):
        return None
    said = secrets.without_passwords(text)[:_MOST_LOGGED]
    # As it is written in Python: a line of its own would look like one of the log's.
    logger.warning("Feast's own app answered the request %s with %d: %r", request_id, status, said)
    return Refused(FAILED if is_ours_to_mend else _REFUSED, status)


async def read_error(answer: Any) -> bytes:
    """An answer's body as far as it is looked at, and a byte more where it is longer."""
    parts: list[bytes] = []
    length = 0
    async for piece in answer.content.iter_any():
        parts.append(piece)
        length += len(piece)
        if length > MOST_OF_AN_ERROR:
            break
    return b"".join(parts)[: MOST_OF_AN_ERROR + 1]
