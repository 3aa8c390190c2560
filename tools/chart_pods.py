"""What Kubernetes takes for the parts of a pod that values.yaml hands on, as far as users mistake it. Its own refusal
would come when an object is sent, name no value, and leave a release half installed.
"""

from collections.abc import Collection
from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
# In place of a default that is not wanted, as OpenShift wants it.
_ID: Schema = {"type": ["integer", "null"], "minimum": 0}


def _object(properties: Schema, required: Collection[str] = ()) -> Schema:
    found: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**found, "required": sorted(required)} if required else found


def _list(item: Schema) -> Schema:
    return {"items": item}


def _amounts(about: str) -> Schema:
    return {
        "description": about,
        "type": "object",
        "additionalProperties": {
            "type": ["number", "string"],
            "minimum": 0,
            "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$",
        },
    }


RESOURCES = _object(
    {
        "requests": _amounts("What is set aside, like 500m or 1Gi."),
        "limits": _amounts("What is never exceeded, like 500m or 1Gi."),
        "claims": {"type": "array", "items": _OBJECT},
    }
)
ENVIRONMENT = _list(
    _object({"name": {**_TEXT, "minLength": 1}, "value": _TEXT, "valueFrom": _OBJECT}, required=["name"]),
)
TOLERATIONS = _list(
    _object(
        {
            "key": _TEXT,
            "operator": _TEXT,
            "value": _TEXT,
            "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
            "tolerationSeconds": {"type": "integer"},
        }
    )
)
AFFINITY = _object({"nodeAffinity": _OBJECT, "podAffinity": _OBJECT, "podAntiAffinity": _OBJECT})
SPREAD = _list(
    _object(
        {
            "maxSkew": {"type": "integer", "minimum": 1},
            "topologyKey": {**_TEXT, "minLength": 1},
            "whenUnsatisfiable": {"enum": ["DoNotSchedule", "ScheduleAnyway"]},
            "labelSelector": _OBJECT,
            "matchLabelKeys": {"type": "array", "items": _TEXT},
            "minDomains": {"type": "integer", "minimum": 1},
            "nodeAffinityPolicy": {"enum": ["Honor", "Ignore"]},
            "nodeTaintsPolicy": {"enum": ["Honor", "Ignore"]},
        },
        required=["maxSkew", "topologyKey", "whenUnsatisfiable"],
    )
)
SECURITY = _object(
    {
        **dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), _ID),
        "runAsNonRoot": {"type": ["boolean", "null"]},
        "supplementalGroups": {"type": ["array", "null"], "items": _ID},
        **{
            key: {"type": ["string", "null"]}
            for key in ("fsGroupChangePolicy", "seLinuxChangePolicy", "supplementalGroupsPolicy")
        },
        **{
            key: {"type": ["object", "null"]}
            for key in ("appArmorProfile", "seLinuxOptions", "seccompProfile", "windowsOptions")
        },
        "sysctls": {"type": ["array", "null"], "items": _OBJECT},
    }
)
