"""ServiceAccounts without a token: a pod that asks the Kubernetes API who a client is mounts one itself (`mounted`).

They are identities for others: a cloud's role that may read the sources is bound to `<project>-materialize`, which the
offline server has too. Annotations that somebody else puts on them stay.
"""

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import Component


def service_accounts(context: Context) -> list[Manifest]:
    accounts = (
        (names.server(context.name), Component.SERVER),
        (names.materialize(context.name), Component.MATERIALIZATION),
    )
    return [
        {**child(context, "ServiceAccount", name, component), "automountServiceAccountToken": False}
        for name, component in accounts
    ]
