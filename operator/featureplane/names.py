"""Names that more than one place must agree on: the API group, kinds, labels, defaults."""

GROUP = "featureplane.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# The category lets `kubectl get features` list every kind of ours.
CATEGORY = "features"

FEATURE_VIEW = "FeatureView"
FEAST_PROJECT = "FeastProject"
FEATURE_SERVICE = "FeatureService"

# The FeastProject that a view refers to when it names none; the chart makes one of this name.
DEFAULT_PROJECT = "feast"
# Objects in files that name no namespace are taken to be in this one, as kubectl does.
DEFAULT_NAMESPACE = "default"

# Our schema in the registry's database, beside Feast's tables in `public`.
SCHEMA = "featureplane"

# Keys of tags that Feast itself gives a meaning: a struct's schema, a nested collection's inner type, a reference to
# credentials. Written by a user they would change a type or read a Secret.
_FEASTS_TAG_PREFIXES = ("feast.", "feast:", "__feast")
# And of those that hold what `deprecated` says (see `deprecation`).
DEPRECATED_TAG_PREFIX = f"{GROUP}/deprecated-"
RESERVED_TAG_PREFIXES = (*_FEASTS_TAG_PREFIXES, DEPRECATED_TAG_PREFIX)

# The files of a rendered Feast repo.
DEFINITIONS_FILE = "definitions.json"
LOADER_FILE = "featureplane_loader.py"
FEATURE_STORE_FILE = "feature_store.yaml"
# The FeastProject as pods read it.
PROJECT_FILE = "project.yaml"

# Who Featureplane is to the API server: the owner of fields it applies, and the finalizer that lets it clean up first.
FIELD_MANAGER = "featureplane"
FINALIZER = f"{GROUP}/registry"

# On every child: the FeastProject that it belongs to, by its metadata.name; what is watched and pruned by.
LABEL_PROJECT = f"{GROUP}/project"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "featureplane"
# On Jobs that no schedule of views makes: what for (initial, purge, parity).
LABEL_JOB = f"{GROUP}/job"

# A user writes the time into it to have an object looked at now.
ANNOTATION_RECONCILE_AT = f"{GROUP}/reconcile-at"
# On pod templates: a change of it replaces the pods.
ANNOTATION_CONFIG = f"{GROUP}/config"
# On a first-run Job: the Feast names of its views, comma-separated.
ANNOTATION_VIEWS = f"{GROUP}/views"
# And the number of the registry's change up to which they were registered.
ANNOTATION_CHANGE = f"{GROUP}/change"


# Children of the FeastProject `project` (its metadata.name), in its namespace.
def server(project: str) -> str:
    """Deployment, Service and their kin."""
    return f"{project}-server"


def repo(project: str) -> str:
    """ConfigMap with what every pod reads."""
    return f"{project}-repo"


def client(project: str) -> str:
    """ConfigMap with the feature_store.yaml of a notebook."""
    return f"{project}-client"


def registry_server(project: str) -> str:
    """Feast's remote registry."""
    return f"{project}-registry"


def offline_server(project: str) -> str:
    """Feast's remote offline store."""
    return f"{project}-offline"


def materialize(project: str, schedule: str | None = None) -> str:
    """CronJob of a schedule; without one, what all of them share."""
    return f"{project}-materialize-{schedule}" if schedule else f"{project}-materialize"


def parity(project: str) -> str:
    """CronJob that compares what is served with its sources."""
    return f"{project}-parity"


def job(project: str, purpose: str, digest: str) -> str:
    """Job that the operator makes itself; `digest` tells two of one purpose apart."""
    return f"{project}-{purpose}-{digest[:10]}"
