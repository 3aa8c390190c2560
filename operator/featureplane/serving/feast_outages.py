"""503 from Feast's own app where its online store does not answer. Feast makes 500 of that, as of a defect.

Of Cassandra alone, whose class in `plugins` raises the error.
"""

import logging
from typing import Any

from featureplane.errors import OnlineStoreUnavailable
from featureplane.serving.closed import WRITES
from featureplane.serving.http.refusing import RETRY_AFTER, new_id

AWAY = "the online store does not answer; the server's log says why"
# To send it again may do harm: the last write wins, and others may have written since.
_PERHAPS_WRITTEN = "; some of the request's rows may be written"
logger = logging.getLogger("featureplane")


def tell_outages(app: Any) -> None:
    """Have the application say so, with an id by which the log has more of it; `elsewhere` passes that on as it is."""
    from fastapi.responses import JSONResponse

    async def answer(request: Any, error: Exception) -> JSONResponse:
        request_id = new_id()
        logger.warning("the online store did not answer the request %s: %s", request_id, error)
        text = AWAY + (_PERHAPS_WRITTEN if request.url.path in WRITES else "")
        name, seconds = RETRY_AFTER
        headers = {name.decode(): seconds.decode(), "x-request-id": request_id}
        return JSONResponse({"message": text, "request_id": request_id}, 503, headers)

    app.add_exception_handler(OnlineStoreUnavailable, answer)
