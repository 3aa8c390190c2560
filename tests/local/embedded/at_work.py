"""The embedded stores in this process and in others, and what is seen of them."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import psycopg
import redis

import featureplane.local.stores
from featureplane.local import record
from patience import PATIENCE, until

embedded_stores = partial(featureplane.local.stores.embedded_stores, search_path=os.environ["PATH"])

PREAMBLE = """
import os, signal, sys, time
from functools import partial
from pathlib import Path
import featureplane.local.stores
from featureplane.local import record

embedded_stores = partial(featureplane.local.stores.embedded_stores, search_path=os.environ["PATH"])

folder = Path(os.environ["FOLDER"]) if "FOLDER" in os.environ else None

def say(text):
    print(text, flush=True)
"""

# Enter the block, say where the stores are, and stay until the standard input ends.
HOLD = """
with embedded_stores(folder) as stores:
    say(record.encode(stores))
    sys.stdin.read()
"""


def a_process(script=HOLD, folder=None, **options):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if folder:
        environ["FOLDER"] = str(folder)
    command = [sys.executable, "-c", PREAMBLE + script]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environ, **options)


def stores_of(process):
    return record.decode(process.stdout.readline())


def folder_of(stores):
    return Path(stores.postgres.keywords["host"]).parent


def connect_postgres(stores):
    return psycopg.connect(**stores.postgres.keywords, autocommit=True, connect_timeout=60)


def connect_redis(stores):
    return redis.Redis(stores.redis.host, stores.redis.port, password=stores.redis.password, socket_timeout=PATIENCE)


def write(stores, value):
    with connect_postgres(stores) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])
    with connect_redis(stores) as client:
        client.set("kept", value)


def read(stores):
    with connect_postgres(stores) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
    with connect_redis(stores) as client:
        return row[0], client.get("kept").decode()


def guardian_of(folder):
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any("local import guardian" in part for part in command) and json.loads(command[-1])["folder"] == str(
            folder
        ):
            return process
    return None


def servers_of(folder):
    """Every process that works below the folder: the postmaster, its children, Redis, initdb."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        cwd, status = process.info["cwd"], process.info["status"]
        if cwd and status != psutil.STATUS_ZOMBIE and Path(cwd).is_relative_to(folder):
            found.append(process)
    return found


def assert_all_ended(folder):
    until(lambda: guardian_of(folder) is None and not servers_of(folder))
