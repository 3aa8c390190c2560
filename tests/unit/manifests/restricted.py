"""The restricted profile of the Pod Security Standards, as far as one pod spec can break it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator
from typing import Any

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(spec: dict[str, Any]) -> Iterator[str]:
    pod = spec.get("securityContext", {})
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    yield from (
        "volume " + item["name"] for item in spec.get("volumes", []) if not (item.keys() - {"name"}) <= _VOLUMES
    )
    if pod.get("sysctls"):
        yield "sysctls"
    for item in [*spec.get("initContainers", []), *spec["containers"]]:
        yield from (f"{item['name']}: {what}" for what in _of_container(pod, item))


def _of_container(pod: dict[str, Any], item: dict[str, Any]) -> Iterator[str]:
    own = item.get("securityContext", {})
    either = {**pod, **own}
    if own.get("privileged") or own.get("procMount", "Default") != "Default":
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities"
    if either.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if either.get("runAsUser") == 0:
        yield "runAsUser"
    if either.get("seccompProfile", {}).get("type") not in _SECCOMP:
        yield "seccompProfile"
    if any("hostPort" in port for port in item.get("ports", [])):
        yield "hostPort"
