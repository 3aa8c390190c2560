"""Rows that are written to examples/products while it is served, over REST and by Feast's SDK: checked, for a while."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pandas as pd
import pytest
import yaml
from redis import Redis

from cli.commands import PATIENCE
from data.writing.redis_processes import fields_expire
from featureplane.local.stores import embedded_stores
from featureplane.online.layout import field
from featureplane.serving.reading.entity_keys import KeyMaker

EXAMPLE = "products"
HOUR = 3_600_000


@pytest.fixture(scope="module")
def server(example):
    assert example("apply", "files").status == 0
    with example.running("serve", "files", "--port", "0") as running:
        url = running.said("serving products at ").split(" at ")[1].split(";")[0]
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
            yield client
        assert running.interrupt() == 0


@pytest.fixture(scope="module")
def stores(example):
    with embedded_stores(example.state / "stores") as found:
        yield found


def facts(*codes, **changes):
    now = datetime.now(UTC).isoformat()
    row = {
        "name": "Blue Kettle 7", "category": "kitchen", "price": 24.5, "popularity_score": 0.5, "average_rating": None,
        "review_count": 12, "in_stock": True, "on_sale": False, "launched_at": "2026-01-31T00:00:00Z",
        "last_purchase_at": now, "event_timestamp": now, **changes,
    }  # fmt: skip
    return {"product_id": list(codes), **{name: [value] * len(codes) for name, value in row.items()}}


def vectors(*codes, text=384, image=512, **changes):
    row = {"text_embedding": [0.5] * text, "image_embedding": [0.25] * image, "model": "shop-encoder-3",
           "event_timestamp": datetime.now(UTC).isoformat(), **changes}  # fmt: skip
    return {"product_id": list(codes), **{name: [value] * len(codes) for name, value in row.items()}}


def write(server, view, df):
    return server.post("/write-to-online-store", json={"feature_view_name": view, "df": df})


def push(server, view, df):
    return server.post("/push", json={"push_source_name": f"{view}_push", "df": df, "to": "online"})


def read(server, *features, of):
    answer = server.post("/get-online-features", json={"features": features, "entities": {"product_id": list(of)}})
    return {
        name: (column["values"], column["statuses"])
        for name, column in zip(answer.json()["metadata"]["feature_names"], answer.json()["results"], strict=True)
        if name != "product_id"
    }


def test_a_single_row_and_a_batch_are_there_at_once(server):
    assert write(server, "product_features", facts("one")).headers["x-featureplane-rows-written"] == "1"
    codes = [f"batch-{number}" for number in range(500)]
    assert push(server, "product_features", facts(*codes, price=9.75)).headers["x-featureplane-rows-written"] == "500"
    found = read(server, "product_features:price", "product_features:average_rating", of=["one", *codes])
    assert found["price"] == ([24.5, *[9.75] * 500], ["PRESENT"] * 501)
    assert set(found["average_rating"][0]) == {None}


def test_embeddings_come_back_number_for_number(server):
    assert push(server, "product_embeddings", vectors("vector", image_embedding=None)).status_code == 200
    found = read(server, "product_embeddings:text_embedding", "product_embeddings:image_embedding", of=["vector"])
    assert found["text_embedding"] == ([[0.5] * 384], ["PRESENT"])
    assert found["image_embedding"][0] == [None]


@pytest.mark.parametrize(
    ("view", "df", "said"),
    [
        ("product_features", facts("bad", price=-1), "df.price[0]: -1 is below the minimum 0.01"),
        ("product_features", facts("bad", popularity_score=1.5), "df.popularity_score[0]: 1.5 is above the maximum 1"),
        ("product_features", facts("bad", category="cars"), 'df.category[0]: "cars" is none of "books", '),
        ("product_features", facts("bad", name=""), 'df.name[0]: "" does not match'),
        ("product_features", facts("bad", in_stock=None), "df.in_stock[0]: has no value"),
        ("product_features", facts("bad", review_count="many"), 'df.review_count[0]: "many" is no whole number'),
        ("product_embeddings", vectors("bad", text=383), "(383 elements) has another length than 384"),
        ("product_embeddings", vectors("bad", image=384), "(384 elements) has another length than 512"),
        ("product_embeddings", vectors("bad", image=0), "df.image_embedding[0]: [] has another length than 512"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_with_its_column_and_nothing_is_written(server, view, df, said):
    good = {"product_features": facts, "product_embeddings": vectors}[view]("good")
    rows = {name: good[name] + values for name, values in df.items()}
    for answer in (write(server, view, rows), push(server, view, rows)):
        assert answer.status_code == 422
        assert said.replace("[0]", "[1]") in json.loads(answer.text)["message"]
    (found,) = read(server, f"{view}:{'price' if view == 'product_features' else 'model'}", of=["good"]).values()
    assert found == ([None], ["NOT_FOUND"])


def test_each_view_lets_its_rows_live_for_its_own_ttl(server, stores):
    write(server, "product_features", facts("hour"))
    write(server, "product_embeddings", vectors("day"))
    write(
        server, "product_features", facts("gone", event_timestamp=(datetime.now(UTC) - timedelta(hours=2)).isoformat())
    )
    keys = KeyMaker([("product_id", "String")], "products").keys([["hour", "day", "gone"]])
    address = stores.redis
    with Redis(address.host, address.port, password=address.password or None) as redis:
        assert 0 < left(redis, keys[0], "product_features", "price") <= HOUR
        assert HOUR < left(redis, keys[1], "product_embeddings", "model") <= 24 * HOUR
        assert not redis.exists(keys[2])


def left(redis, key, view, feature):
    """Milliseconds until the value goes: by itself where fields can expire, else with its key."""
    return redis.hpttl(key, field(view, feature))[0] if fields_expire(redis) else redis.pttl(key)


def test_feasts_sdk_writes_through_the_server_and_is_told_of_a_bad_row(example, server, stores, monkeypatch):
    from feast import FeatureStore

    assert example("render", "files", "--out", "repo").status == 0
    file = example.folder / "repo" / "feature_store.yaml"
    config = yaml.safe_load(file.read_text())
    config["online_store"] = {"type": "remote", "path": str(server.base_url).rstrip("/"), "connection_retries": 1}
    file.write_text(yaml.safe_dump(config))
    with environment(monkeypatch, stores):
        store = FeatureStore(repo_path=str(file.parent))
        frame = frame_of(facts("sdk-1", "sdk-2", price=3.5))
        store.write_to_online_store("product_features", frame)
        store.push("product_embeddings_push", frame_of(vectors("sdk-1")))
        asked = ["product_features:price", "product_embeddings:model"]
        found = store.get_online_features(asked, [{"product_id": "sdk-1"}, {"product_id": "sdk-2"}]).to_dict()
        assert (found["price"], found["model"]) == ([3.5, 3.5], ["shop-encoder-3", None])
        with pytest.raises(Exception, match="below the minimum"):
            store.write_to_online_store("product_features", frame_of(facts("sdk-3", price=-1.0)))
    assert read(server, "product_features:price", of=["sdk-3"])["price"][0] == [None]


@contextmanager
def environment(monkeypatch, stores):
    with monkeypatch.context() as patch:
        for name, value in stores.environment().items():
            patch.setenv(name, value)
        patch.setenv("PGDATABASE", "feast")
        yield


def frame_of(df):
    """As the SDK takes it: times are times, and a created time stands beside them."""
    frame = pd.DataFrame(df)
    for name in {"event_timestamp", "launched_at", "last_purchase_at"} & set(frame.columns):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame.assign(created=frame["event_timestamp"])
