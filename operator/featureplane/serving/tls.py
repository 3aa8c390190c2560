"""A server's certificate, read again when its files change: new connections get the new one, without a restart."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from featureplane.errors import FeatureplaneError
from featureplane.serving.files import Signature, signature

# Between two looks at the files.
LOOK_SECONDS = 10.0
logger = logging.getLogger(__name__)


class Certificate:
    """A certificate with its chain, and its key; both files in PEM, the key without a password.

    `problem` is why what the files hold now is not used, empty when it is. Raises FeatureplaneError when made of files
    that cannot be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.problem = ""
        self.files = certificate, key
        self._renewals: list[Callable[[], Awaitable[None]]] = []
        self._looked_at = self._signatures()
        self._newest = self.context = self._context()
        # A context that is served cannot get another pair in one step; a connection can get another context.
        self.context.sni_callback = self._choose

    def refresh(self) -> bool:
        """Take what the files hold if they have changed; whether there is a new pair. A broken one changes nothing."""
        try:
            found = self._signatures()
            if found == self._looked_at:
                return False
            context = self._context()
        except FeatureplaneError as error:
            self._say(str(error))
            return False
        self._newest, self._looked_at = context, found
        self._say("")
        logger.warning("a new certificate is served, of %s", self.files[0])
        return True

    async def follow(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await asyncio.to_thread(self.refresh):
                for renew in self._renewals:
                    await renew()

    def on_renewal(self, renew: Callable[[], Awaitable[None]]) -> None:
        """Have something done whenever there is a new pair in `files`."""
        self._renewals.append(renew)

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        certificate, key = self.files
        try:
            # A password would be asked for on the terminal.
            context.load_cert_chain(certificate, key, password=str)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
            raise self._unusable(str(reason)) from error
        return context

    def _signatures(self) -> tuple[Signature, ...]:
        try:
            return tuple(signature(path) for path in self.files)
        except OSError as error:
            raise self._unusable(str(error.strerror)) from error

    def _unusable(self, reason: str) -> FeatureplaneError:
        certificate, key = self.files
        return FeatureplaneError(
            f"the certificate {certificate} and the key {key} cannot be used ({reason}); "
            "give a chain and the key that goes with it, both in PEM, the key without a password"
        )

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.warning("%s; the one before is served on", problem)
        self.problem = problem
