"""Looks for changes of the registry, again and again, in a thread that nothing ends but the server."""

import logging
import threading
import time

from featureplane.errors import FeatureplaneError, StoreUnavailable
from featureplane.serving.catalogue.followed import Followed

logger = logging.getLogger(__name__)

# In seconds: between two looks for a change, and at what others write where we do.
POLL_SECONDS = 1.0
SCAN_SECONDS = 15.0
# A registry that has not been read for so long is a problem, whatever the reason.
_STALE_SECONDS = 30.0


class Following:
    """A thread that refreshes. `changes` counts what it found, `checked_at` is when the registry was last read."""

    def __init__(self, followed: Followed, poll: float = POLL_SECONDS, scan: float = SCAN_SECONDS) -> None:
        self.checked_at = time.time()
        self.changes = 0
        self._met = self._told = ""
        self._followed = followed
        self._poll, self._scan = poll, scan
        self._scanned = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="catalogue", daemon=True)

    @property
    def problem(self) -> str:
        """What the thread met, as anybody may hear it, empty while all is well; a registry that keeps it waiting is a
        problem, too.
        """
        silent = time.time() - self.checked_at
        if not self._met and silent > _STALE_SECONDS:
            return f"the registry has not answered for {silent:.0f} s"
        return self._told

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        self._followed.freshness.look(self._followed.catalogue.views)
        while not self._stopped.wait(self._poll):
            try:
                self._look()
            except FeatureplaneError as error:
                # libpq's words name hosts and users.
                does = "does not answer" if isinstance(error, StoreUnavailable) else "refuses what it is asked"
                self._say(str(error), f"the registry {does}; the server's log says why")
            except Exception as error:
                logger.exception("this is a defect of Featureplane's; please report it")
                self._say(f"it cannot be followed: {type(error).__name__}")

    def _look(self) -> None:
        thoroughly = time.monotonic() - self._scanned >= self._scan
        self.changes += self._followed.refresh(thoroughly=thoroughly)
        self._say(self._followed.problem)
        self.checked_at = time.time()
        if thoroughly:
            self._followed.freshness.look(self._followed.catalogue.views)
            self._scanned = time.monotonic()

    def _say(self, problem: str, told: str = "") -> None:
        """To the log, and to who asks for the `problem` what he is `told` instead."""
        if problem and problem != self._met:
            logger.warning("what was registered last is served on: %s", problem)
        elif self._met and not problem:
            logger.warning("the registry is read again")
        self._met, self._told = problem, told or problem
