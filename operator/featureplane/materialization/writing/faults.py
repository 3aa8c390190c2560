"""What Redis answers instead of doing it, and what that means for a copy. Pure."""

from featureplane.errors import WriteRefused
from featureplane.online.replies import code_of, first_line, unwrapped
from featureplane.settings import RedisAddress

# Errors that pass: the same command may succeed a moment later, perhaps on another server.
_PASSING = {
    "READONLY": "it is a replica",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it has lost its master",
    "CLUSTERDOWN": "the cluster is down",
    "TRYAGAIN": "a slot is on its way",
    "NOREPLICAS": "too few replicas follow it",
    "NOSCRIPT": "it has lost our script",
    "BUSY": "a script keeps it busy",
    "MOVED": "a slot is elsewhere",
    "ASK": "a slot is on its way",
}
_REMEDIES = {
    "OOM": "raise `maxmemory`, or look at what fills it; with an eviction policy it would evict features instead",
    "NOPERM": "grant its user what the copy needs",
    "WRONGTYPE": "another application keeps its own keys in this database; give Feast one of its own",
    "MISCONF": "look at the server's disk and log",
    "MOVED": "it is part of a Redis Cluster; say so in its address",
}


class Interrupted(Exception):
    """Redis did not answer, or not now: the same may succeed on a new connection. `is_demoted`: by a replica."""

    def __init__(self, reason: str, *, is_demoted: bool = False) -> None:
        self.is_demoted = is_demoted
        super().__init__(reason)


def of_reply(error: str, address: RedisAddress) -> Exception:
    """What to raise for an error of Redis: Interrupted or WriteRefused."""
    error = unwrapped(error)
    code = code_of(error)
    if code in _PASSING and not (code in {"MOVED", "ASK"} and address.mode != "Cluster"):
        return Interrupted(f"{_PASSING[code]} ({first_line(error)})", is_demoted=code == "READONLY")
    remedy = _REMEDIES.get(code)
    return WriteRefused(f"Redis at {address} refuses rows: {first_line(error)}" + (f"; {remedy}" if remedy else ""))
