"""One object: plain values to a frozen model, or every problem found, each with its path and what to write instead."""

import difflib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from featureplane import names
from featureplane.errors import Problem
from featureplane.model.auth import FILE_PATTERN, URL_PATTERN, WORD_PATTERN
from featureplane.model.base import (
    COLUMN_PATTERN,
    DNS_LABEL_PATTERN,
    DNS_SUBDOMAIN_PATTERN,
    NAME_PATTERN,
    OBJECT_META_FIELDS,
    Found,
    Kind,
    shown,
)
from featureplane.model.cron import CRON_PATTERN, TIME_ZONE_PATTERN
from featureplane.model.deprecated import DAY_PATTERN, REFERENCE_PATTERN
from featureplane.model.documents import DEEPEST, Document, Path, field_path
from featureplane.model.feast_project import (
    DATACENTER_PATTERN,
    ENDPOINT_PATTERN,
    HOST_PATTERN,
    KEYSPACE_PATTERN,
    MOUNT_PATTERN,
    REGION_PATTERN,
    RESOURCE_PATTERN,
    ROOT_PATTERN,
    SENTINEL_PATTERN,
    FeastProject,
)
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.model.repair import repaired
from featureplane.model.source import PATH_PATTERN, SPARK_TABLE_PATTERN, TABLE_PATTERN

K = TypeVar("K", bound=Kind)

KINDS: Mapping[str, type[Kind]] = {
    names.FEAST_PROJECT: FeastProject,
    names.FEATURE_VIEW: FeatureView,
    names.FEATURE_SERVICE: FeatureService,
}


def parse(kind: type[K], value: Any, document: Document | None = None) -> tuple[K | None, list[Problem]]:
    """The model of one object, or None and every problem in it; `document` adds file and line to each."""
    if _deeper_than(value, DEEPEST):
        return None, [_problem((), f"is nested more than {DEEPEST} deep", "flatten it", document)]
    found = list(_metadata_problems(value))
    model: K | None = None
    try:
        model = kind.model_validate(value)
    except ValidationError as error:
        details = _true_errors(error)
        details += _relations(kind, value, details)
        found += [_explain(kind, detail) for detail in details]
    return (None if found else model), [_problem(*each, document) for each in found]


def _relations(kind: type[Kind], value: Any, details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Problems between fields are only looked for once each field is right: look again with the wrong ones mended."""
    found: list[ErrorDetails] = []
    mended = {_path(detail) for detail in details}
    for _ in range(_MOST_LOOKS):
        try:
            kind.model_validate(repaired(value, mended))
            break
        except ValidationError as error:
            more = _true_errors(error)
        found += [detail for detail in more if detail["type"] == "wrong" and _path(detail) not in mended]
        # What is wrong still was left out although it is required: what it stands in must go, too.
        mended |= {_path(detail)[:-1] if _path(detail) in mended else _path(detail) for detail in more}
    return found


# Relations lie within an item, within the source, within the spec and with the metadata: each needs those before it.
_MOST_LOOKS = 5


def _true_errors(error: ValidationError) -> list[ErrorDetails]:
    """Pydantic counts the right items of a list only, and calls it too short where items are wrong."""
    details = error.errors(include_url=False)
    return [item for item in details if item["type"] != "too_short" or not item["input"]]


def _deeper_than(value: Any, most: int) -> bool:
    """Whether lists and mappings stand in each other more than `most` times, as an object in a cluster may."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return any(isinstance(item, dict | list) for item in level)


def _metadata_problems(value: Any) -> Iterator[Found]:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if isinstance(metadata, dict):
        for key in metadata:
            if key not in OBJECT_META_FIELDS:
                near = _similar(key, sorted(OBJECT_META_FIELDS))
                yield ("metadata", key), "is not a field", f"did you mean {near}?" if near else "remove it"


def _problem(path: Path, message: str, remedy: str, document: Document | None) -> Problem:
    return Problem(
        document.file if document else "", document.line(path) if document else 0, field_path(path), message, remedy
    )


def _path(detail: ErrorDetails) -> Path:
    """Pydantic adds `[key]` to the path of a mapping's key."""
    path = detail["loc"]
    return path[:-1] if path[-1:] == ("[key]",) and detail["type"] != "extra_forbidden" else path


def _explain(kind: type[Kind], detail: ErrorDetails) -> Found:
    path = _path(detail)
    return path, *_words(kind, detail, path)


def _words(kind: type[Kind], detail: ErrorDetails, path: Path) -> tuple[str, str]:  # noqa: C901, PLR0911, PLR0912 - a table
    """What is wrong and what to write instead, for one of pydantic's errors."""
    context = detail.get("ctx", {})
    given = detail["input"]
    match detail["type"]:
        case "wrong":
            return context["message"], context["remedy"]
        case "missing":
            return "is missing", f"add {path[-1]}{_describe(kind, path)}"
        case "extra_forbidden":
            return "is not a field", _closest(str(path[-1]), kind, path[:-1])
        case "string_pattern_mismatch":
            return f"{shown(given)} is not allowed here", PATTERN_REMEDIES[context["pattern"]]
        case "string_too_long" | "too_long":
            unit = "characters" if isinstance(given, str) else "entries"
            return f"is longer than {context['max_length']} {unit}", "shorten it"
        case "string_too_short":
            field = _field(kind, path)
            return "is empty", "write something" + (", or leave it out" if field and not field.is_required() else "")
        case "too_short":
            return "is empty", "write at least one"
        case "string_type":
            return f"must be text, not {shown(given)}", "put it in quotes" if isinstance(
                given, int | float
            ) else "write text"
        case "string_unicode":
            return "holds half a surrogate pair", "write the whole character"
        case "bool_type":
            return f"must be true or false, not {shown(given)}", "write true or false, without quotes"
        case "int_type" | "int_from_float":
            return f"must be a whole number, not {shown(given)}", "write a whole number, without quotes"
        case "float_type" | "finite_number":
            return f"must be a number, not {shown(given)}", "write a number, without quotes"
        case "tuple_type":
            return f"must be a list, not {shown(given)}", "start each item with a dash"
        case "dict_type" | "model_type":
            return f"must be a mapping, not {shown(given)}", "write its fields below it, indented"
        case "literal_error":
            return f"{shown(given)} is not allowed here", f"write {context['expected'].replace(chr(39), '')}"
        case "greater_than_equal":
            return f"{shown(given)} is too small", f"write at least {context['ge']:g}"
        case "less_than_equal":
            return f"{shown(given)} is too large", f"write at most {context['le']:g}"
        case _:
            return f"{shown(given)} is not allowed here ({detail['msg']})", "correct it"


# What a user reads instead of a pattern; a test holds that no pattern of a model is left out.
PATTERN_REMEDIES = {
    NAME_PATTERN: "use letters, digits, - and single _, and start with a letter or digit",
    REFERENCE_PATTERN: "write the name of a view, or view:feature",
    DAY_PATTERN: "write a day as 2026-03-31",
    COLUMN_PATTERN: "use letters, digits and _, and do not start with a digit",
    DNS_LABEL_PATTERN: "use lower-case letters, digits and -, with a letter or digit at both ends",
    DNS_SUBDOMAIN_PATTERN: "use lower-case letters, digits, - and ., with a letter or digit at both ends",
    URL_PATTERN: "write a URL that begins with https://, without a password",
    WORD_PATTERN: "write one word of ASCII letters, digits and ._~:/%+,;=&()!*?@|-",
    FILE_PATTERN: "write an absolute path, of letters, digits and . _ = / -",
    PATH_PATTERN: "write a path below the data root, of letters, digits and _ . = * @ + , - and single /",
    SPARK_TABLE_PATTERN: "write catalog.schema.table, of letters, digits and _, each of at most 63 characters",
    TABLE_PATTERN: "write table or schema.table, of letters, digits and _, each of at most 63 characters",
    CRON_PATTERN: "write minute, hour, day of month, month and day of week, like 5 * * * *",
    TIME_ZONE_PATTERN: "write one like Etc/UTC or Europe/Berlin",
    ROOT_PATTERN: "write a URI like s3://lake/features, or an absolute path like /data",
    MOUNT_PATTERN: "write an absolute path like /data",
    ENDPOINT_PATTERN: "write a URL without user and password, like https://minio.storage:9000",
    REGION_PATTERN: "write the name of a region, like eu-central-1",
    HOST_PATTERN: "write a name or an address without a port, like cassandra.storage",
    KEYSPACE_PATTERN: "use small letters, digits and _, and begin with a letter",
    DATACENTER_PATTERN: "use letters, digits, ., _ and -",
    SENTINEL_PATTERN: "use letters, digits, ., _ and -",
    RESOURCE_PATTERN: "write the name of a resource, like cpu, memory or nvidia.com/gpu",
}


def _closest(name: str, kind: type[BaseModel], at: Path) -> str:
    """What someone who wrote the unknown field `name` may have meant."""
    known = _fields(_annotation_at(kind, at))
    deeper = {_bare(path.rsplit(".", 1)[-1]): path for path in reversed(list(_below(kind, at)))}
    by_bare = {_bare(field): field for field in known}
    near = by_bare.get(_bare(name)) or deeper.get(_bare(name)) or _similar(name, known)
    if near:
        return f"did you mean {near}?"
    return "remove it; the fields here are " + ", ".join(known) if known else "remove it"


def _bare(name: str) -> str:
    """`join_key`, `join-key` and `JoinKey` are what other tools write for joinKey."""
    return name.replace("_", "").replace("-", "").lower()


def _similar(name: str, known: list[str]) -> str:
    started = [field for field in known if _bare(field).startswith(_bare(name)[:_ENOUGH])]
    return next(
        iter(difflib.get_close_matches(name, started, n=1, cutoff=0.4) or difflib.get_close_matches(name, known, n=1)),
        "",
    )


_ENOUGH = 3


def _below(kind: type[BaseModel], at: Path) -> Iterator[str]:
    """The fields below `at`, nearest first, as `source.file.path` and `features[].type`."""
    level = [("", _annotation_at(kind, at))]
    while level:
        deeper = []
        for prefix, annotation in level:
            for field in _fields(annotation):
                inner = _step(annotation, field)
                brackets = "[]" if get_origin(inner) is tuple else ""
                yield prefix + field
                deeper.append((f"{prefix}{field}{brackets}.", _step(inner, 0) if brackets else inner))
        level = deeper


def _annotation_at(kind: type[BaseModel], path: Path) -> Any:
    """The type of what stands at `path`, without None and without constraints; None where there is none."""
    annotation: Any = kind
    for part in path:
        annotation = _step(annotation, part)
    return annotation


def _step(annotation: Any, part: str | int) -> Any:
    if part in _fields(annotation):
        return _core(next(item for item in annotation.model_fields.values() if item.alias == part).annotation)
    if get_origin(annotation) is tuple:
        return _core(get_args(annotation)[0])
    return _core(get_args(annotation)[1]) if get_origin(annotation) is dict else None


def _core(annotation: Any) -> Any:
    """The type in `Annotated[type, ...]` and in `type | None`."""
    if get_origin(annotation) is Annotated:
        return _core(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return _core(get_args(annotation)[0])
    return annotation


def _fields(annotation: Any) -> list[str]:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return [item.alias or name for name, item in annotation.model_fields.items()] if is_model else []


def _field(kind: type[BaseModel], path: Path) -> FieldInfo | None:
    model = _annotation_at(kind, path[:-1])
    known = model.model_fields.values() if _fields(model) else ()
    return next((item for item in known if item.alias == path[-1]), None)


def _describe(kind: type[BaseModel], path: Path) -> str:
    field = _field(kind, path)
    return f": {' '.join(field.description.split())}" if field and field.description else ""
