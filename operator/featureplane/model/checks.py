"""Constraints on a feature's values, checked before they are written online."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import SchemaError, SchemaValidator, core_schema

from featureplane.model.base import Found, Items, Model, kubernetes, refuse, rule, shown, wrong
from featureplane.model.open_values import open_problems
from featureplane.model.types import FeatureType


def _check_pattern(pattern: str) -> str:
    """The pattern must be one that a linear-time engine takes: no look-around and no back-references."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        raise wrong(
            f"{shown(pattern)} is not a regular expression of RE2's kind",
            "close each bracket, and leave out look-around and back-references",
        ) from None
    return pattern


def _plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    refuse(
        ((index,), f"{shown(value)} is no plain value", "list texts, numbers or booleans")
        for index, value in enumerate(values)
        if not isinstance(value, str | int | float) or (isinstance(value, int) and value.bit_length() > _MOST_BITS)
    )
    refuse(
        ((index, *path), message, remedy)
        for index, value in enumerate(values)
        for path, message, remedy in open_problems(value)
    )
    return values


# An object in the API server holds no larger number.
_MOST_BITS = 64
_LONGEST_ARRAY = 65_536


class Checks(Model):
    """What a value must be; a row that fails is rejected, a view over its limit keeps its last good values."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",
                    "the minimum is above the maximum; no value could pass",
                ),
                rule(
                    "!(has(self.notNull) && self.notNull && has(self.maxNullFraction) && self.maxNullFraction > 0.0)",
                    "notNull forbids what maxNullFraction allows; keep one of them",
                ),
            ]
        )
    )

    not_null: bool = False
    """No row may lack the value."""
    minimum: float | None = None
    """Smallest value allowed, itself included."""
    maximum: float | None = None
    """Largest value allowed, itself included."""
    in_: Annotated[
        Items[Any] | None,
        Field(alias="in", min_length=1, max_length=256),
        AfterValidator(lambda values: values if values is None else _plain(values)),
        WithJsonSchema(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": 256,
                "items": {
                    "description": "A string, a number or a boolean.",
                    **kubernetes(preserve_unknown_fields=True),
                },
                **kubernetes(list_type="atomic"),
            }
        ),
    ] = None
    """The only values allowed."""
    pattern: Annotated[
        str | None, Field(min_length=1, max_length=256), AfterValidator(lambda p: p if p is None else _check_pattern(p))
    ] = None
    """Regular expression (RE2) that a string must match somewhere; anchor it with ^ and $."""
    length: Annotated[int | None, Field(ge=1, le=_LONGEST_ARRAY)] = None
    """How many elements an array must have, such as the numbers of an embedding."""
    max_null_fraction: Annotated[float | None, Field(ge=0, le=1)] = None
    """Largest share of rows without a value, from 0 to 1."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Found]:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            yield (
                ("minimum",),
                f"{self.minimum:g} is above the maximum, {self.maximum:g}",
                "no value could pass; lower it",
            )
        if self.not_null and self.max_null_fraction:
            yield ("maxNullFraction",), "allows what notNull forbids", "keep one of them"

    def misfits(self, kind: FeatureType) -> Iterator[Found]:
        """Which of these checks cannot apply to a feature of this type."""
        for name, value in (("minimum", self.minimum), ("maximum", self.maximum)):
            if value is not None and not kind.is_numeric:
                yield (name,), f"is for numbers, not for {kind}", "take it out"
        if self.pattern is not None and kind.name != "String":
            yield ("pattern",), f"is for String, not for {kind}", "take it out"
        if self.length is not None and kind.name != "Array":
            yield ("length",), f"is for Array, not for {kind}", "take it out"
        allowed = _VALUES_OF.get(kind.name, ())
        if self.in_ and not allowed:
            yield ("in",), f"is for String, Bool and numbers, not for {kind}", "take it out"
        elif self.in_:
            for index, value in enumerate(self.in_):
                if type(value) not in allowed or not _fits(value, kind):
                    yield ("in", index), f"{shown(value)} is no {kind}", f"list values of {kind}"


def _fits(value: Any, kind: FeatureType) -> bool:
    bits = _BITS.get(kind.name)
    return bits is None or -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


_BITS = {"Int32": 32, "Int64": 64}


_VALUES_OF: dict[str, tuple[type, ...]] = {
    "String": (str,),
    "Bool": (bool,),
    "Int32": (int,),
    "Int64": (int,),
    "Float32": (int, float),
    "Float64": (int, float),
}
