"""A program for Ray's environment: serves forecast.py in a small Ray of its own on this port, until SIGTERM."""

import signal
import sys
import tempfile
import threading

import ray
from forecast import app
from ray import serve


def main():
    ended = threading.Event()
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        # In /tmp, for the paths of Ray's sockets must be short.
        ray.init(num_cpus=1, object_store_memory=100 * 2**20, include_dashboard=False, _temp_dir=folder)
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
            serve.run(app)
            ended.wait()
        finally:
            serve.shutdown()
            ray.shutdown()


main()
