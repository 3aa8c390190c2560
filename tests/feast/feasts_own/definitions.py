"""A Feast repo as its users write them: what the server has to serve without a word from Featureplane."""

from datetime import timedelta
from typing import Any

from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, StreamFeatureView

rows = FileSource(path="rows.parquet", timestamp_field="event_timestamp")

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
word = Entity(name="word", join_keys=["word"], value_type=ValueType.STRING)
day = Entity(name="day", join_keys=["day"], value_type=ValueType.UNIX_TIMESTAMP)
floor = Entity(name="floor", join_keys=["floor"], value_type=ValueType.INT32)
driver_key, word_key = Field(name="driver_id", dtype=Int64), Field(name="word", dtype=String)
trips, rate = Field(name="trips", dtype=Int64), Field(name="rate", dtype=Float64)


def a_view(name: str, entities: list[Entity], *schema: Field, **more: Any) -> FeatureView:
    return FeatureView(name=name, entities=entities, schema=list(schema), source=rows, **more)


drivers = a_view("drivers", [driver], driver_key, trips, rate, Field(name="tags", dtype=Array(String)))
words = a_view("words", [word], word_key, Field(name="count", dtype=Int32), ttl=timedelta(0))
pairs = a_view("pairs", [word, driver], word_key, driver_key, Field(name="share", dtype=Float64))
days = a_view("days", [day], Field(name="day", dtype=UnixTimestamp), Field(name="rain", dtype=Float64))
floors = a_view("floors", [floor], Field(name="floor", dtype=Int32), Field(name="doors", dtype=Int32))
fresh = a_view("fresh", [driver], driver_key, Field(name="speed", dtype=Float64), ttl=timedelta(days=1))
totals = a_view("totals", [], Field(name="all_trips", dtype=Int64), Field(name="all_rates", dtype=Float64))
odd = a_view(
    "naïve view", [driver], driver_key, Field(name="größe (cm)", dtype=Int64), Field(name="a.b-c d", dtype=String)
)
resting = a_view("resting", [driver], driver_key, Field(name="naps", dtype=Int64), enabled=False)
clicks = StreamFeatureView(
    name="clicks",
    entities=[driver],
    schema=[driver_key, Field(name="clicked", dtype=Int64)],
    source=PushSource(name="clicks_pushed", batch_source=rows),
)


@on_demand_feature_view(sources=[drivers], schema=[Field(name="doubled", dtype=Int64)], mode="python")
def doubled(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"doubled": [None if trips is None else 2 * trips for trips in inputs["trips"]]}


of_drivers = FeatureService(name="of_drivers", features=[drivers[["rate", "trips"]], fresh])
of_all = FeatureService(name="of_all", features=[words, pairs[["share"]], totals, drivers[["tags"]]])
of_clicks = FeatureService(name="of_clicks", features=[clicks, drivers[["trips"]]])
of_travels = FeatureService(
    name="of_travels",
    features=[
        drivers[["trips"]].with_name("origin").with_join_key_map({"driver_id": "origin_id"}),
        drivers[["trips", "rate"]].with_name("destination").with_join_key_map({"driver_id": "destination_id"}),
    ],
)
of_other_names = FeatureService(name="of_other_names", features=[words.with_name("terms"), odd.with_name("odd")])
of_resting = FeatureService(name="of_resting", features=[resting])
of_doubles = FeatureService(name="of_doubles", features=[drivers[["trips"]], doubled])
