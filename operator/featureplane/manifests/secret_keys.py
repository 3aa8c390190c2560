"""Which keys of a Secret hold a store's address: CloudNativePG's and the Service Binding specification's are known.

Both the operator, which reads the values, and the pods, which get them by secretKeyRef, choose by these functions.
"""

from collections.abc import Collection, Mapping

# A certificate authority in PEM; pods get it as a file.
CA = "ca.crt"

# The keys of a Secret as the guide describes it: what is assumed of one that is not there yet.
POSTGRES_STANDARD = ("host", "port", "dbname", "user", "password")
REDIS_STANDARD = ("host", "port", "username", "password", "db")

# The variable, and the keys that may hold its value, the first that is there first. Without a host nothing works;
# everything else has a default or is not always needed.
_POSTGRES = {
    "PGHOST": ("host",),
    "PGPORT": ("port",),
    "PGDATABASE": ("dbname", "database"),
    "PGUSER": ("user", "username"),
    "PGPASSWORD": ("password",),
    "PGSSLMODE": ("sslmode",),
}
_REDIS = {
    "FEATUREPLANE_REDIS_HOST": ("host",),
    "FEATUREPLANE_REDIS_PORT": ("port",),
    "FEATUREPLANE_REDIS_USERNAME": ("username",),
    "FEATUREPLANE_REDIS_PASSWORD": ("password",),
    "FEATUREPLANE_REDIS_DB": ("db", "database"),
}


_CASSANDRA = {
    "FEATUREPLANE_CASSANDRA_USERNAME": ("username", "user"),
    "FEATUREPLANE_CASSANDRA_PASSWORD": ("password",),
}
CASSANDRA_STANDARD = ("username", "password")


def cassandra_keys(keys: Collection[str]) -> dict[str, str]:
    """FEATUREPLANE_CASSANDRA_* variables, each with the key among `keys` that holds its value."""
    return _chosen(_CASSANDRA, keys)


def postgres_keys(keys: Collection[str]) -> dict[str, str]:
    """Libpq's variables, each with the key among `keys` that holds its value; one that none holds is left out."""
    return _chosen(_POSTGRES, keys)


def redis_keys(keys: Collection[str]) -> dict[str, str]:
    """FEATUREPLANE_REDIS_* variables, each with the key among `keys` that holds its value."""
    return _chosen(_REDIS, keys)


def postgres_ssl_mode(keys: Collection[str]) -> str | None:
    """The sslmode where the Secret names none: whoever gives a certificate authority wants the server checked.

    Libpq's own default would pass the certificate over and fall back to plain text.
    """
    return "verify-full" if CA in keys and "sslmode" not in keys else None


def postgres_problem(secret: str, keys: Collection[str]) -> str | None:
    """What the registry's Secret lacks, and what to do."""
    return _problem(secret, keys, POSTGRES_STANDARD)


def redis_problem(secret: str, keys: Collection[str]) -> str | None:
    """What the online store's Secret lacks, and what to do."""
    return _problem(secret, keys, REDIS_STANDARD)


def cassandra_problem(secret: str, keys: Collection[str]) -> str | None:
    """What the Secret of a Cassandra lacks; one that asks nobody for a name has a Secret without any key."""
    found = cassandra_keys(keys)
    if len(found) in {0, len(_CASSANDRA)}:
        return None
    missing = next(wanted[0] for variable, wanted in _CASSANDRA.items() if variable not in found)
    return f"the Secret {secret!r} has no key {missing!r}; its keys are to be {' and '.join(CASSANDRA_STANDARD)}"


def _chosen(candidates: Mapping[str, Collection[str]], keys: Collection[str]) -> dict[str, str]:
    found = {name: next((key for key in wanted if key in keys), None) for name, wanted in candidates.items()}
    return {name: key for name, key in found.items() if key is not None}


def _problem(secret: str, keys: Collection[str], standard: Collection[str]) -> str | None:
    if "host" in keys:
        return None
    return f"the Secret {secret!r} has no key 'host'; its keys are to be {', '.join(standard)}, as far as needed"
