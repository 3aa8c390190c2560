"""What stands beside a training set, so that it can be made again: what was asked, of what, from which definitions."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

from featureplane.rendering.definitions import Definition
from featureplane.training.asking import Asked
from featureplane.training.making import Made, Order

FORMAT = 1


def record_of(
    project: str, asked: Asked, order: Order, made: Made, definitions: Sequence[Definition], now: datetime
) -> Mapping[str, Any]:
    """Plain JSON; `definitions` are named by their kinds and names, with the digests that the registry's have."""
    return {
        "format": FORMAT,
        "project": project,
        "feature_service": asked.service or None,
        "features": dict(order.features),
        "entities": {
            "file": order.file.path.name,
            "sha256": order.file.digest(),
            "rows": made.rows,
            "columns": order.file.schema.names,
            "timestamp_column": order.time,
        },
        "definitions": {f"{item.kind}/{item.name}": item.digest for item in definitions},
        "made_at": now.isoformat(),
        "featureplane": version("featureplane"),
        "feast": version("feast"),
        "rows": made.rows,
        "missing": dict(made.missing),
    }


def as_text(record: Mapping[str, Any]) -> str:
    """The file's text."""
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
