"""Values of types without a columnar encoding (maps, structs, JSON, sets, arrays of arrays), by Feast's own code.

Loads Feast, which takes seconds and 170 MB: only for a view that has such a feature.
"""

from typing import Any

import pyarrow as pa

from featureplane.errors import FeatureplaneError
from featureplane.model.types import FeatureType


def encode(column: pa.Array, kind: FeatureType) -> pa.BinaryArray:
    """The serialized value of each row. Raises FeatureplaneError where Feast refuses one."""
    from feast.type_map import python_values_to_proto_values
    from feast.value_type import ValueType

    try:
        values = python_values_to_proto_values(_rows(column, kind), ValueType[kind.value_type])
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise FeatureplaneError(f"a value is no {kind}: {reason}") from error
    return pa.array([value.SerializeToString() for value in values], pa.binary())


def _rows(column: pa.Array, kind: FeatureType) -> Any:
    """What Feast's conversion takes; it knows no Arrow maps and no zone of an Arrow time."""
    if pa.types.is_map(column.type):
        return [None if row is None else dict(row) for row in column.to_pylist()]
    if pa.types.is_decimal(column.type) or kind.name == "ZonedTimestamp":
        return column.to_pylist()
    return column.to_numpy(zero_copy_only=False)
