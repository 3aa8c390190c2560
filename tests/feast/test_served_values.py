"""What JSON says of stored values: for every type, and whatever is in them, what Feast's own server says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featureplane.registry.protos import Value
from featureplane.serving.reading import values as forms
from featureplane.serving.reading.values import Undecodable, decode

texts = st.text(max_size=200)
blobs = st.binary(max_size=200)
int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
singles = st.floats(width=32)
doubles = st.floats()
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bytes_val": blobs, "string_val": texts, "int32_val": int32s, "int64_val": int64s, "double_val": doubles,
    "float_val": singles, "bool_val": st.booleans(), "unix_timestamp_val": int64s, "json_val": texts, "uuid_val": texts,
    "time_uuid_val": texts, "decimal_val": texts,
}  # fmt: skip
REPEATED: dict[str, st.SearchStrategy[Any]] = {
    "bytes": blobs, "string": texts, "int32": int32s, "int64": int64s, "double": doubles, "float": singles,
    "bool": st.booleans(), "unix_timestamp": int64s, "uuid": texts, "time_uuid": texts, "decimal": texts,
}  # fmt: skip
ZONES = ["", "UTC", "Europe/Berlin", "America/New_York", "UTC-07:00", "+05:30", "+0530", "Mars/Olympus", "../etc"]


def scalars() -> st.SearchStrategy[Any]:
    return st.one_of(
        [strategy.map(lambda value, name=name: Value(**{name: value})) for name, strategy in SCALARS.items()]
    )


def lists(suffix: str) -> st.SearchStrategy[Any]:
    def of(name: str, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        def made(values: list[Any]) -> Any:
            value = Value()
            held = getattr(value, f"{name}_{suffix}_val")
            held.SetInParent()
            held.val.extend(values)
            return value

        return st.lists(strategy, max_size=6).map(made)

    return st.one_of([of(name, strategy) for name, strategy in REPEATED.items()])


def nested(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def of_list(name: str) -> Any:
        def made(held: list[Any]) -> Any:
            value = Value()
            getattr(value, name).SetInParent()
            getattr(value, name).val.extend(held)
            return value

        return made

    def of_map(name: str) -> Any:
        def made(held: dict[str, Any]) -> Any:
            value = Value()
            getattr(value, name).SetInParent()
            for key, each in held.items():
                getattr(value, name).val[key].CopyFrom(each)
            return value

        return made

    def of_maps(name: str) -> Any:
        def made(held: list[dict[str, Any]]) -> Any:
            value = Value()
            getattr(value, name).SetInParent()
            for each in held:
                added = getattr(value, name).val.add()
                for key, one in each.items():
                    added.val[key].CopyFrom(one)
            return value

        return made

    maps = st.dictionaries(texts, values, max_size=3)
    return st.one_of(
        *(st.lists(values, max_size=3).map(of_list(name)) for name in ("list_val", "set_val")),
        *(maps.map(of_map(name)) for name in ("map_val", "struct_val")),
        *(st.lists(maps, max_size=3).map(of_maps(name)) for name in ("map_list_val", "struct_list_val")),
    )


@st.composite
def zoned(draw: st.DrawFn) -> Any:
    value = Value()
    value.zoned_timestamp_val.unix_timestamp = draw(st.sampled_from([-(2**63)]) | st.integers(-(2**31), 2**33))
    value.zoned_timestamp_val.zone = draw(st.sampled_from(ZONES))
    return value


null = st.just(Value(null_val=0)) | st.just(Value())
flat = scalars() | lists("list") | lists("set") | zoned() | null
anything = st.recursive(flat, nested, max_leaves=6)


@settings(max_examples=600, deadline=None)
@given(st.lists(anything, min_size=1, max_size=5))
def test_values_of_all_types_are_said_as_feast_says_them(values: list[Any]) -> None:
    from feast.feature_server_utils import _value_to_native

    stored = [value.SerializeToString() for value in values]
    expected = [*map(_value_to_native, values), None, None]
    assert repr(in_order(decode([*stored, None, b""]))) == repr(in_order(expected))


def in_order(value: Any) -> Any:
    """Maps have no order in protobuf."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(each) for each in value] if isinstance(value, list | tuple) else value


def test_every_form_of_a_value_is_known() -> None:
    assert {field.name for field in Value.DESCRIPTOR.fields} == set(forms._FORMS)  # noqa: SLF001 - one for each


@pytest.mark.parametrize("name", SCALARS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_column_of_one_type_is_said_as_feast_says_it(name: str, data: st.DataObject) -> None:
    """The shortcuts: columns in which every value is there, and such in which some is not."""
    from feast.feature_server_utils import _value_to_native

    values = [Value(**{name: value}) for value in data.draw(st.lists(SCALARS[name], min_size=1, max_size=8))]
    stored: list[bytes | None] = [value.SerializeToString() for value in values]
    expected = list(map(_value_to_native, values))
    if data.draw(st.booleans()):
        stored.append(None)
        expected.append(None)
    assert repr(list(decode(stored))) == repr(expected)


@pytest.mark.parametrize(
    "stored", [b"\x35\x00", b"\x29", b"\x12\x05abc", b"\x20", b"\xff", b"\x38\x80", b"\x12\x02\xff\xfe"]
)
def test_what_is_no_value_is_said_to_be_none(stored: bytes) -> None:
    with pytest.raises(Undecodable):
        decode([stored])
