"""The status of each kind, as the API server keeps it: what `controller/status.py` may write. Data only.

The API server prunes what is not named here without a word, so a new field of a status begins in this file. Lists that
the controller writes whole are atomic; conditions are a map by type, as everywhere in Kubernetes.
"""

from typing import Any

from featureplane.model.base import NAME_PATTERN, kubernetes

Schema = dict[str, Any]

MOST_RUNS = 5
_MOST_CONDITIONS = 16
_LONGEST_MESSAGE = 4096
_STATE_PATTERN = r"^[A-Za-z]([A-Za-z0-9]*[A-Za-z0-9])?$"


def _text(description: str, longest: int, pattern: str = "") -> Schema:
    return {
        "description": description,
        "type": "string",
        **({"pattern": pattern} if pattern else {}),
        "maxLength": longest,
    }


def _time(description: str) -> Schema:
    return {"description": description, "type": "string", "format": "date-time", "maxLength": 64}


def _count(description: str) -> Schema:
    return {"description": description, "type": "integer", "format": "int64", "minimum": 0}


def _object(description: str, properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    return {
        "description": description,
        "type": "object",
        **({"required": list(required)} if required else {}),
        "properties": properties,
    }


_OBSERVED_GENERATION = _count("The metadata.generation that this status is about.")
_DIGEST = _text(
    "Digest of the definition that is registered; it changes when, and only when, the definition does.", 128
)


def _conditions(types: str) -> Schema:
    """Like metav1.Condition, with its bounds; messages are shorter, as the whole object must fit into etcd."""
    return {
        "description": f"What is true of the object and since when: {types}",
        "type": "array",
        "maxItems": _MOST_CONDITIONS,
        **kubernetes(list_type="map", list_map_keys=["type"]),
        "items": _object(
            "One thing that is true of the object, or not, or not known.",
            {
                "type": _text("Which thing, in CamelCase.", 316, _STATE_PATTERN),
                "status": {
                    "description": "Whether it is so.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": _count("The metadata.generation that this condition is about."),
                "lastTransitionTime": _time("When status last changed."),
                "reason": {
                    **_text("Why, as one word in CamelCase that programs can compare.", 1024, _STATE_PATTERN),
                    "minLength": 1,
                },
                "message": _text("Why, in a sentence for people.", _LONGEST_MESSAGE),
            },
            ("type", "status", "lastTransitionTime", "reason", "message"),
        ),
    }


_RUN = _object(
    "One run that copied rows of this view to the online store.",
    {
        "job": _text("Name of the Job.", 253),
        "window": _text("The event times that the run covered, as two times with a slash between them.", 80),
        "startTime": _time("When the run began."),
        "completionTime": _time("When the run ended."),
        "rowsRead": _count("Rows that the source had in the window."),
        "rowsWritten": _count("Rows written to the online store."),
        "rejected": _count("Rows that a check refused."),
        "result": _text("How it ended, as one word in CamelCase.", 63, _STATE_PATTERN),
        "message": _text("What went wrong, if something did.", _LONGEST_MESSAGE),
    },
)

FEATURE_VIEW = _object(
    "What is known of the view; written by Featureplane.",
    {
        "observedGeneration": _OBSERVED_GENERATION,
        "conditions": _conditions(
            "Valid, Registered, Materialized, Fresh and Ready, where the project compares what is served Consistent,"
            " where it or a feature is deprecated Deprecated, and while something is under way or stuck Reconciling or"
            " Stalled."
        ),
        "runs": {
            "description": f"The last {MOST_RUNS} runs, the newest first.",
            "type": "array",
            "maxItems": MOST_RUNS,
            **kubernetes(list_type="atomic"),
            "items": _RUN,
        },
        "maxEventTimestamp": _time("Event time of the newest row that was written to the online store."),
        "nextScheduleTime": _text(
            "When the next run starts. Text and not a date, for kubectl prints a date to come as <invalid>.", 64
        ),
        "digest": _DIGEST,
    },
)

FEAST_PROJECT = _object(
    "What is known of the project; written by Featureplane.",
    {
        "observedGeneration": _OBSERVED_GENERATION,
        "conditions": _conditions("Valid and Ready, and while something is under way or stuck Reconciling or Stalled."),
        "views": _object(
            "How many feature views the project has. Each is either ready, stale, pending, failed or invalid.",
            {
                "total": _count("All feature views."),
                "ready": _count("Registered, copied to the online store and fresh."),
                "notReady": _count("Stale, pending, failed or invalid."),
                "stale": _count("Registered and copied, but their rows are older than they should be."),
                "pending": _count("Not registered yet, or waiting for their first run."),
                "failed": _count("The last run failed, or the registry refused them."),
                "invalid": _count("What was declared cannot be, or disagrees with another object."),
                "suspended": _count("With suspend: true, whatever their state."),
            },
        ),
        "services": _count("How many feature services the project has."),
        "endpoint": _text("Where the feature server answers inside the cluster, as a URL.", 512),
        "registry": _object(
            "The registry's database.",
            {
                "state": _text("How it is, as one word in CamelCase: Ready or why not.", 63, _STATE_PATTERN),
                "message": _text("What is wrong, if something is.", _LONGEST_MESSAGE),
                "project": _text("The project's name in the registry.", 63, NAME_PATTERN),
                "lastWriteTime": _time("When the registry was last changed by Featureplane."),
            },
        ),
        "onlineStore": _object(
            "The online store, as the operator finds it.",
            {
                "state": _text("How it is, as one word in CamelCase: Ready or why not.", 63, _STATE_PATTERN),
                "message": _text("What is wrong, if something is.", _LONGEST_MESSAGE),
            },
        ),
        "server": _object(
            "The feature server.",
            {
                "state": _text("How it is, as one word in CamelCase: Ready or why not.", 63, _STATE_PATTERN),
                "message": _text("What is wrong, if something is.", _LONGEST_MESSAGE),
                "replicas": _count("Pods that should be there."),
                "readyReplicas": _count("Pods that answer."),
            },
        ),
    },
)

FEATURE_SERVICE = _object(
    "What is known of the service; written by Featureplane.",
    {
        "observedGeneration": _OBSERVED_GENERATION,
        "conditions": _conditions(
            "Valid, Registered and Ready, where it or what it uses is deprecated Deprecated, and while something is"
            " under way or stuck Reconciling or Stalled."
        ),
        "views": _count("How many feature views are used."),
        "features": _count("How many features are used."),
        "digest": _DIGEST,
    },
)
