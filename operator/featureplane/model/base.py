"""What every kind shares: strict frozen models, and the bounded strings they are made of.

The constraint, the description and the Kubernetes extension of a field stand together on the field, so that the parser
and the CRD cannot disagree. Patterns are written in the part of the syntax that pydantic's engine (Rust `regex`) and
the API server's (Go `regexp`, RE2) share.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from featureplane import names

T = TypeVar("T")

# Letters, digits, `_` and `-` as Feast allows, and no `__`, which Feast puts between a view and a feature.
NAME_PATTERN = r"^[A-Za-z0-9](_?[A-Za-z0-9-])*_?$"
# A column that is safe in any SQL dialect without quotes.
COLUMN_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


class Model(BaseModel):
    """Strict (no value is coerced), frozen, refuses unknown fields; camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    def model_post_init(self, _context: Any) -> None:
        """Share the set of given fields, of which there are few: of thousands of views it is most of a small model."""
        given = self.model_fields_set
        object.__setattr__(self, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given))


# Never changed: models are frozen, and a copy of one copies its set.
_GIVEN: dict[frozenset[str], set[str]] = {}


def kubernetes(**extensions: Any) -> dict[str, Any]:
    """The `x-kubernetes-*` extensions of a field: `kubernetes(list_type="set")` is `x-kubernetes-list-type: set`."""
    return {"x-kubernetes-" + key.replace("_", "-"): value for key, value in extensions.items()}


def rule(expression: str, message: str, field_path: str = "") -> dict[str, str]:
    """One CEL rule for `x-kubernetes-validations`."""
    return {"rule": expression, "message": message, **({"fieldPath": field_path} if field_path else {})}


# Where a problem is below the value at hand, what it is, and what to write instead.
Found = tuple[tuple[str | int, ...], str, str]


def wrong(message: str, remedy: str = "") -> PydanticCustomError:
    """The error of a validator: what is wrong, and what to write instead; `parsing` tells the two apart."""
    return PydanticCustomError("wrong", "{message}; {remedy}", {"message": message, "remedy": remedy})


def refuse(found: Iterable[Found]) -> None:
    """Raise all of these problems together; nothing when there are none."""
    errors = [InitErrorDetails(type=wrong(message, remedy), loc=path, input=None) for path, message, remedy in found]
    if errors:
        raise ValidationError.from_exception_data("relations", errors)


def shown(value: Any) -> str:
    """A value as the user may recognise it, in ASCII and short: it may hold anything."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


_LONGEST_SHOWN = 60


def _unreserved(tags: dict[str, str]) -> dict[str, str]:
    remedy = "choose a key that does not start with " + ", ".join(names.RESERVED_TAG_PREFIXES)
    reserved = [key for key in tags if key.startswith(names.RESERVED_TAG_PREFIXES)]
    refuse(((key,), "is a tag with a meaning of its own", remedy) for key in reserved)
    return tags


def unique_by(attribute: str) -> AfterValidator:
    """Refuse two items of a list with the same `attribute`."""

    def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
        values = [getattr(item, attribute) for item in items]
        refuse(((index, to_camel(attribute)), message, remedy) for index, message, remedy in _repetitions(values))
        return items

    return AfterValidator(check)


def distinct(items: tuple[T, ...]) -> tuple[T, ...]:
    """Refuse the same item twice: the API server does too, by `x-kubernetes-list-type: set`."""
    refuse(((index,), message, remedy) for index, message, remedy in _repetitions(items))
    return items


def _repetitions(values: Sequence[Any]) -> Iterator[tuple[int, str, str]]:
    first: dict[Any, int] = {}
    for index, value in enumerate(values):
        if first.setdefault(value, index) != index:
            yield index, f"{shown(value)} stands here a second time, after [{first[value]}]", "keep one of them"


# A YAML list arrives as a list and stays as a tuple; the items are as strict as anywhere.
Items = Annotated[tuple[T, ...], Strict(strict=False)]

LONGEST_NAME = 63
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=NAME_PATTERN)]
Column = Annotated[str, Field(min_length=1, max_length=63, pattern=COLUMN_PATTERN)]
KubernetesName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN_PATTERN)]
Label = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL_PATTERN)]

# Any text; pydantic itself refuses half a surrogate pair, which no UTF-8, protobuf or PostgreSQL text can hold.
Description = Annotated[str, Field(max_length=8192)]
Owner = Annotated[str, Field(max_length=256)]
TagKey = Annotated[str, Field(min_length=1, max_length=128)]
TagValue = Annotated[str, Field(max_length=1024)]
_NO_RESERVED_TAG = rule(
    "!self.exists(key, " + " || ".join(f"key.startsWith('{prefix}')" for prefix in names.RESERVED_TAG_PREFIXES) + ")",
    "a tag that starts with " + ", ".join(names.RESERVED_TAG_PREFIXES) + " has a meaning of its own",
)
Tags = Annotated[
    dict[TagKey, Annotated[TagValue, Field(description="Value of the label, whatever it says.")]],
    Field(max_length=64, json_schema_extra=kubernetes(validations=[_NO_RESERVED_TAG])),
    AfterValidator(_unreserved),
]


class ProjectRef(Model):
    """The FeastProject that an object belongs to."""

    name: Annotated[KubernetesName, Field(default=names.DEFAULT_PROJECT)]
    """Name of the FeastProject."""
    namespace: Label | None = None
    """Namespace of the FeastProject; left out: the object's own. Another one only where the project's
    `allowedNamespaces` lists the object's namespace."""


class Metadata(Model):
    """The part of Kubernetes' ObjectMeta that is read; what the API server adds is accepted and passed over."""

    model_config = ConfigDict(extra="ignore")

    name: KubernetesName
    namespace: Label = names.DEFAULT_NAMESPACE
    # kubectl and its kin write `creationTimestamp: null` and empty maps as null.
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    uid: str = ""
    generation: int = 0
    creation_timestamp: str | None = None


class Kind(Model):
    """One object as it stands in a file or in the cluster: metadata and spec."""

    metadata: Metadata

    @model_validator(mode="before")
    @classmethod
    def _without_envelope(cls, data: Any) -> Any:
        """Take off apiVersion and kind, which chose this class, and the status, which is not the user's to write."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if key not in {"apiVersion", "kind", "status"}}


def feast_name(declared: str | None, metadata: Metadata) -> str:
    """The name of an object in Feast: the declared one, or metadata.name with `_` for what Feast's names lack."""
    return declared or metadata.name.replace("-", "_").replace(".", "_")


def feast_name_problems(declared: str | None, metadata: Metadata) -> Iterator[Found]:
    """What is wrong with a name in Feast that was made of metadata.name; a declared one was looked at by itself."""
    name = feast_name(declared, metadata)
    if not declared and "__" in name:
        yield (
            ("metadata", "name"),
            f"makes the Feast name {shown(name)}, and Feast keeps __ for itself",
            "give spec.name",
        )
    if not declared and len(name) > LONGEST_NAME:
        yield (
            ("metadata", "name"),
            f"makes a Feast name of {len(name)} characters",
            f"give spec.name, of {LONGEST_NAME} at most",
        )


# `__` is Feast's own, and `feast_name` makes it of `--`.
NO_DOUBLE_DASH = rule(
    "has(self.spec.name) || !self.metadata.name.contains('--')",
    "metadata.name would make a Feast name with __, which Feast keeps for itself; give spec.name",
)

# ObjectMeta's own fields; any other key below `metadata` is a slip of the pen.
OBJECT_META_FIELDS = frozenset(
    {
        "name",
        "generateName",
        "namespace",
        "labels",
        "annotations",
        "uid",
        "generation",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "finalizers",
        "ownerReferences",
        "managedFields",
        "selfLink",
    }
)
