"""Which server answers, and whether its data are those that were written to it before. Pure."""

from dataclasses import dataclass

_UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class Identity:
    """A process of a server, and the history of its data with the one before, as INFO has them.

    The data's name changes when a replica takes over, and when a server has been a replica for a while.
    """

    process: str = _UNKNOWN
    history: str = _UNKNOWN
    earlier_history: str = ""

    @classmethod
    def read(cls, info: bytes) -> "Identity":
        """From the answer to INFO."""
        lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
        values = {name: value.strip() for name, _, value in lines}
        return cls(
            values.get("run_id", _UNKNOWN), values.get("master_replid", _UNKNOWN), values.get("master_replid2", "")
        )

    @property
    def is_known(self) -> bool:
        return self.process != _UNKNOWN

    def continues(self, other: "Identity") -> bool:
        """Whether the other's data went on to become these, were it a replica in between."""
        return other.history in {self.history, self.earlier_history}
