"""`helm test`: does the feature server answer? Run in a pod of the release, with the server's URL as argument.

It waits, for the operator may have made the server a moment ago. Which views there are is not known here, so a request
for none has to be understood: 401 and 422 are answers, a refused connection or a 503 is none.
"""

import ssl
import sys
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 180
# Only whether somebody speaks TLS there: the certificate is for the clients' names.
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname = False
UNCHECKED.verify_mode = ssl.CERT_NONE


def status(path: str, body: bytes | None = None) -> int:
    request = urllib.request.Request(sys.argv[1] + path, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10, context=UNCHECKED) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def trouble() -> str:
    try:
        if (found := status("/health")) != 200:
            return f"/health answers {found}"
        if (found := status("/get-online-features", b'{"features": [], "entities": {}}')) >= 500:
            return f"/get-online-features answers {found}"
    except OSError as error:
        return str(error)
    return ""


deadline = time.monotonic() + PATIENCE_SECONDS
while found := trouble():
    if time.monotonic() > deadline:
        sys.exit(f"{sys.argv[1]}: {found}")
    time.sleep(2)
print(f"{sys.argv[1]} answers")
