"""A condition that leaves rows of other entities in their database, where those that are asked for are few. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa
from sqlglot import exp

# Values of a join key: more of them would make a long query, and leave out little.
_FEW: Final = 1_000

# By join key; one that has many values is not in it.
FewKeys = Mapping[str, Sequence[str | int]]


def few_keys(batches: Iterable[Mapping[str, pa.Array]]) -> FewKeys:
    """The values of each join key that has few, over batches of entities in the form of `conform`."""
    found: dict[str, pa.Array] = {}
    many: set[str] = set()
    for batch in batches:
        for name, values in batch.items():
            if name in many:
                continue
            known = [found[name]] if name in found else []
            found[name] = pa.concat_arrays([*known, values.unique()]).unique()
            if len(found[name]) > _FEW:
                many.add(name)
                del found[name]
        if not found:
            break
    return {name: values.drop_null().to_pylist() for name, values in found.items()}


def among(keys: FewKeys, value: Callable[[str], exp.Expr], kinds: Mapping[str, pa.DataType]) -> exp.Expr:
    """Whether a row may be of one of the entities: each key is looked at by itself, and left out where its column is of
    a type that equals in other ways than the key's.
    """
    conditions = [
        exp.In(this=value(name).copy(), expressions=[_literal(each) for each in values])
        for name, values in keys.items()
        if values and _is_compared_alike(kinds[name], values)
    ]
    return exp.and_(*conditions) if conditions else exp.true()


def _is_compared_alike(kind: pa.DataType, values: Sequence[str | int]) -> bool:
    if pa.types.is_integer(kind):
        return all(type(each) is int for each in values)
    # No database takes a NUL in a text.
    return bool(pa.types.is_string(kind)) and all(isinstance(each, str) and "\0" not in each for each in values)


def _literal(value: str | int) -> exp.Expr:
    return exp.Literal.string(value) if isinstance(value, str) else exp.Literal.number(value)
