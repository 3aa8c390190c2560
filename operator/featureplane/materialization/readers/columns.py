"""Whether a source has the columns that a view takes, of types that become the declared ones. Pure."""

from collections.abc import Iterator

import pyarrow as pa

from featureplane.errors import SourceError
from featureplane.materialization.readers.times import is_time
from featureplane.materialization.rows import View
from featureplane.materialization.sources import fits
from featureplane.model.types import parse_type

_SHOWN = 12


def check_columns(view: View, schema: pa.Schema, place: str) -> None:
    """Raises SourceError with everything that the view wants and the source's `schema` does not have."""
    problems = list(_problems(view, schema))
    if problems:
        raise SourceError(f"{place}: " + "; ".join(problems))


def _problems(view: View, schema: pa.Schema) -> Iterator[str]:
    missing = [name for name in wanted(view) if name not in schema.names]
    if missing:
        known = ", ".join(schema.names[:_SHOWN]) + (", ..." if len(schema.names) > _SHOWN else "")
        yield (
            f"there is no column {', '.join(map(repr, missing))}; its columns are {known}; "
            "correct the name, or spec.source.fieldMapping"
        )
    for column in time_columns(view):
        if column in schema.names and not is_time(schema.field(column).type):
            yield f"the column {column!r} is {_shown(schema, column)}, not a timestamp; name a column of times"
    for name, kind in (*view.keys, *view.features):
        column = view.columns[name]
        if column in schema.names and not fits(schema.field(column).type, parse_type(kind)):
            found = _shown(schema, column)
            yield f"the column {column!r} is {found}, which is no {kind}; correct the type or the source"


def _shown(schema: pa.Schema, column: str) -> str:
    """A type in the source's words where it has others than Arrow."""
    kind = schema.field(column).type
    if isinstance(kind, pa.OpaqueType):
        return str(kind.type_name)
    return str(kind.extension_name if isinstance(kind, pa.BaseExtensionType) else kind)


def time_columns(view: View) -> list[str]:
    """The columns with event time and, where the source has one, with the time of writing."""
    created = view.source["created_timestamp_column"]
    return [view.source["timestamp_field"], *([created] if created else [])]


def wanted(view: View) -> list[str]:
    """Every column of the source that the view takes, each once."""
    return list(dict.fromkeys([*view.columns.values(), *time_columns(view)]))
