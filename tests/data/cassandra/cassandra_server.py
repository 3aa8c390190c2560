"""A Cassandra 5 of a test's own, out of its jars: one node on the loopback interface, ended by its pid."""

import fcntl
import hashlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from cassandra import DriverException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable

from data.maven import CACHE, retrieve
from featureplane.local.redis_server import HOST, free_ports
from unit.access.certificates import write_certificate

VERSION = "5.0.6"
# Of the names and the SHA-256 of all jars.
DIGEST = "5a61d8f8f727df04533db3229769a1b440edf72d957ea8de3293c535fe989b88"
# What Cassandra makes at its first start.
ADMIN = ("cassandra", "cassandra")
USER, PASSWORD = "reader", "p@ss, w:rd=/'\"%é"
KEYSPACE = "fraud"
_PATIENCE = 240
# As Cassandra's own conf/jvm17-server.options opens them.
_EXPORTS = (
    "java.base/jdk.internal.misc", "java.management.rmi/com.sun.jmx.remote.internal.rmi", "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server", "java.sql/java.sql", "java.base/java.lang.ref", "jdk.unsupported/sun.misc",
)  # fmt: skip
_OPENS = (
    "java.base/java.lang.module", "java.base/jdk.internal.loader", "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect", "java.base/jdk.internal.math", "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar", "jdk.management/com.sun.management.internal", "java.base/sun.nio.ch",
    "java.base/java.io", "java.base/java.nio", "java.base/java.lang", "java.base/java.util",
    "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
)  # fmt: skip
_LOGBACK = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>
<pattern>%-5level %date %logger{20} %msg%n</pattern></encoder></appender>
<root level="WARN"><appender-ref ref="out"/></root></configuration>"""


@dataclass(frozen=True)
class CassandraServer:
    """A node that speaks plainly at one port and by TLS at another, with a certificate that is its own authority."""

    port: int
    tls_port: int
    certificate: Path

    @contextmanager
    def session(self) -> Iterator[Any]:
        """The administrator's."""
        cluster = Cluster(
            [HOST],
            port=self.port,
            auth_provider=PlainTextAuthProvider(*ADMIN),
            connect_timeout=60,
            control_connection_timeout=60,
        )
        try:
            yield cluster.connect()
        finally:
            cluster.shutdown()


def jars() -> Path:
    """A folder with Cassandra and all it needs, fetched when it is not there (63 MB)."""
    folder = CACHE / f"cassandra-{VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with TemporaryDirectory(dir=CACHE) as place:
                made = Path(place) / "jars"
                made.mkdir()
                retrieve("org.apache.cassandra", "cassandra-all", VERSION, made, transitive=True)
                made.rename(folder)
    found = hashlib.sha256()
    for jar in sorted(folder.iterdir()):
        found.update(f"{jar.name} {hashlib.sha256(jar.read_bytes()).hexdigest()}\n".encode())
    assert found.hexdigest() == DIGEST, f"{folder} holds other jars, {found.hexdigest()}; remove it"
    return folder


@contextmanager
def cassandra_server(folder: Path) -> Iterator[CassandraServer]:
    """A node with the keyspace, and a user who may do with it what the documentation says."""
    port, internal, tls_port = islice(free_ports(), 3)
    certificate, key = write_certificate(folder)
    (folder / "store.pem").write_text(key.read_text() + certificate.read_text())
    (folder / "cassandra.yaml").write_text(yaml.safe_dump(_settings(folder, port, internal, tls_port)))
    (folder / "logback.xml").write_text(_LOGBACK)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(_command(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        server = CassandraServer(port, tls_port, certificate)
        _set_up(server, process, folder / "log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _settings(folder: Path, port: int, internal: int, tls_port: int) -> dict[str, Any]:
    seeds: dict[str, Any] = {"class_name": "org.apache.cassandra.locator.SimpleSeedProvider"}
    seeds["parameters"] = [{"seeds": f"{HOST}:{internal}"}]
    encryption: dict[str, Any] = {"enabled": True, "optional": False, "keystore": str(folder / "store.pem")}
    encryption["ssl_context_factory"] = {"class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"}
    return {
        "native_transport_port_ssl": tls_port, "client_encryption_options": encryption,
        "cluster_name": "test", "num_tokens": 1, "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "authenticator": "PasswordAuthenticator", "authorizer": "CassandraAuthorizer",
        "role_manager": "CassandraRoleManager", "endpoint_snitch": "SimpleSnitch", "seed_provider": [seeds],
        "commitlog_sync": "periodic", "commitlog_sync_period": "10000ms", "commitlog_segment_size": "4MiB",
        "data_file_directories": [str(folder / "data")], "commitlog_directory": str(folder / "commitlog"),
        "hints_directory": str(folder / "hints"), "saved_caches_directory": str(folder / "caches"),
        "cdc_raw_directory": str(folder / "cdc"), "listen_address": HOST, "rpc_address": HOST,
        "storage_port": internal, "native_transport_port": port, "memtable_heap_space": "16MiB",
        "memtable_offheap_space": "16MiB", "auto_snapshot": False, "credentials_validity": "0ms",
        "permissions_validity": "0ms", "roles_validity": "0ms",
        # A machine with other work is slow, and that is nothing that a test is about.
        "read_request_timeout": "60s", "write_request_timeout": "60s", "range_request_timeout": "60s",
        "truncate_request_timeout": "60s", "request_timeout": "60s",
    }  # fmt: skip


def _command(folder: Path) -> list[str]:
    found = jars()
    (agent,) = found.glob("jamm-*.jar")
    opened = [word for name in _EXPORTS for word in ("--add-exports", f"{name}=ALL-UNNAMED")]
    opened += [word for name in _OPENS for word in ("--add-opens", f"{name}=ALL-UNNAMED")]
    said = {
        "cassandra.config": f"file://{folder / 'cassandra.yaml'}", "logback.configurationFile": folder / "logback.xml",
        "cassandra.storagedir": folder, "cassandra-foreground": "yes", "cassandra.skip_wait_for_gossip_to_settle": 0,
        "cassandra.superuser_setup_delay_ms": 0, "cassandra.ring_delay_ms": 1,
    }  # fmt: skip
    return [
        "java", "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", *opened, f"-javaagent:{agent}",
        *(f"-D{name}={value}" for name, value in said.items()),
        "-cp", f"{folder}:{found}/*", "org.apache.cassandra.service.CassandraDaemon",
    ]  # fmt: skip


def _set_up(server: CassandraServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with server.session() as session:
                for statement in _STATEMENTS:
                    session.execute(statement, timeout=60)
                return
        except (NoHostAvailable, DriverException):  # its own user, too, is made some time after the start
            time.sleep(1)
        if time.monotonic() > until:
            raise AssertionError(f"Cassandra does not answer: {log.read_text()[-2000:]}")


_REPLICATION = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}"
_QUOTED = PASSWORD.replace("'", "''")
_STATEMENTS = (
    f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {_REPLICATION}",
    f"CREATE ROLE IF NOT EXISTS {USER} WITH PASSWORD = '{_QUOTED}' AND LOGIN = true",
    *(f"GRANT {right} ON KEYSPACE {KEYSPACE} TO {USER}" for right in ("CREATE", "SELECT", "MODIFY", "DROP")),
)
