"""What Cassandra and its driver say of an error, in words that name the host, the Secret or the field."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from featureplane.errors import FeatureplaneError, OnlineStoreUnavailable
from featureplane.model.feast_project import CassandraOnlineStore

_NO_SERVER = (
    "no server of the datacenter {!r} can be connected to; correct spec.onlineStore.cassandra.datacenter if "
    "`nodetool status` prints another name, or the addresses that the servers announce"
)


def place_of(store: CassandraOnlineStore) -> str:
    """Where the store is, for a message."""
    hosts = ", ".join(f"{host}:{store.port}" for host in store.hosts)
    return f"Cassandra at {hosts}"


@contextmanager
def answering(store: CassandraOnlineStore) -> Iterator[None]:
    """Turn the driver's errors into ours. Its own words about several hosts are long, and are cut."""
    from cassandra import AuthenticationFailed, DriverException, InvalidRequest, OperationTimedOut, Unauthorized
    from cassandra.cluster import NoHostAvailable

    try:
        yield
    except NoHostAvailable as error:
        # Without reasons the driver has addresses: one server answered, and no connection for requests was made.
        reasons = list(error.errors.values()) if isinstance(error.errors, dict) else []
        if any(_needs_login(each) for each in reasons):
            raise _refused(store) from None
        for each in reasons:
            _refuse_tls(store, str(each))
        why = _line(reasons[0]) if reasons else _NO_SERVER.format(store.datacenter)
        raise OnlineStoreUnavailable(f"{place_of(store)} does not answer: {why}{_hint(store, reasons)}") from None
    except (AuthenticationFailed, Unauthorized) as error:
        if isinstance(error, Unauthorized):
            raise FeatureplaneError(
                f"{place_of(store)} does not allow the user in the Secret {store.secret_ref.name!r} to do this; "
                f"grant CREATE, SELECT, MODIFY and DROP on the keyspace {store.keyspace!r}"
            ) from None
        raise _refused(store) from None
    except InvalidRequest as error:
        if "eyspace" in str(error) and "does not exist" in str(error):
            raise FeatureplaneError(
                f"{place_of(store)} has no keyspace {store.keyspace!r}; make it: CREATE KEYSPACE {store.keyspace} "
                f"WITH replication = {{'class': 'NetworkTopologyStrategy', '{store.datacenter}': 3}}"
            ) from None
        raise FeatureplaneError(f"{place_of(store)} refuses: {_line(error)}") from error
    except OperationTimedOut:
        raise OnlineStoreUnavailable(f"{place_of(store)} does not answer in time") from None
    except DriverException as error:
        raise OnlineStoreUnavailable(f"{place_of(store)} does not answer: {_line(error)}") from error


def is_missing_table(error: BaseException) -> bool:
    """Whether nobody has written a row of the view yet."""
    from cassandra import InvalidRequest

    return isinstance(error, InvalidRequest) and ("unconfigured table" in str(error) or "does not exist" in str(error))


def no_authority(store: CassandraOnlineStore, error: OSError) -> FeatureplaneError:
    """The file with certificates of authorities cannot be used."""
    why = "is not there" if isinstance(error, FileNotFoundError) else "holds no certificate in PEM"
    return FeatureplaneError(
        f"the file with the certificate authority of {place_of(store)} {why}; correct {_authority(store)}"
    )


def _refuse_tls(store: CassandraOnlineStore, said: str) -> None:
    """Raise where no TLS could be spoken. The driver has an error of its own for that, with OpenSSL's words in it."""
    if "CERTIFICATE_VERIFY_FAILED" in said:
        why = said.partition("certificate verify failed: ")[2].partition(" (_ssl")[0].rstrip(".")
        raise FeatureplaneError(
            f"the certificate of {place_of(store)} is not to be trusted: {why}; "
            f"its authority has to be {_authority(store)}, and it has to name the server's address"
        ) from None
    if "[SSL" in said and "EOF" not in said:
        raise FeatureplaneError(
            f"{place_of(store)} speaks no TLS at this port; write the port where it does "
            f"(spec.onlineStore.cassandra.port), or tls: false if the credentials in the Secret "
            f"{store.secret_ref.name!r} may go unencrypted"
        ) from None


def _hint(store: CassandraOnlineStore, reasons: Sequence[object]) -> str:
    """A server that restarts ends connections, and so does one that expects TLS, or expects none."""
    from cassandra.connection import ConnectionShutdown

    ended = (ConnectionResetError, BrokenPipeError, ConnectionShutdown)
    if not any(isinstance(each, ended) or "EOF" in str(each) for each in reasons):
        return ""
    wrong = "no TLS" if store.tls else "TLS alone"
    return f"; if it speaks {wrong} at this port correct spec.onlineStore.cassandra, port or tls"


def _authority(store: CassandraOnlineStore) -> str:
    return f"'ca.crt' in the Secret {store.secret_ref.name!r} (FEATUREPLANE_CASSANDRA_CA_FILE outside of a cluster)"


def _needs_login(error: object) -> bool:
    from cassandra import AuthenticationFailed

    return isinstance(error, AuthenticationFailed) or "requires authentication" in str(error)


def _refused(store: CassandraOnlineStore) -> FeatureplaneError:
    secret = store.secret_ref.name
    return FeatureplaneError(
        f"{place_of(store)} refuses the credentials; correct username and password in the Secret {secret!r}"
    )


def _line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
