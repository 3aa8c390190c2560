"""A client program, run by the Python of one version of Feast's SDK: `sdk_client.py FOLDER`.

FOLDER has `request.json`, and gets `answer.json`. Nothing of ours is imported.
"""

import json
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from feast import FeatureStore

FEATURES = [
    f"driver_stats:{name}" for name in ("trips", "doors", "rate", "share", "city", "active", "seen", "tags", "marks")
]
TIME = datetime(2026, 1, 31, 12, tzinfo=UTC)


def main():
    folder = Path(sys.argv[1])
    wanted = json.loads((folder / "request.json").read_text())
    answer = {}
    if wanted["registry"] == "file":
        declare(folder)
    store = FeatureStore(repo_path=str(folder))
    steps = {
        "online": online, "service": service, "missing": missing, "several": several_keys, "write": write,
        "write_times": write_times, "grpc": grpc_stubs,
    }  # fmt: skip
    for name, step in steps.items():
        try:
            answer[name] = step(store, wanted)
        except Exception as error:  # noqa: BLE001 - what fails is what the test wants to know
            traceback.print_exc()
            answer[name] = {"error": f"{type(error).__name__}: {error}"}
    (folder / "answer.json").write_text(json.dumps(answer, default=str))


def declare(folder):
    """The same definitions in a registry file of its own, by this version's own classes."""
    from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType

    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    word = Entity(name="word", join_keys=["word"], value_type=ValueType.STRING)
    kinds = {
        "driver_id": Int64, "trips": Int64, "doors": Int32, "rate": Float64, "share": Float32, "city": String,
        "active": Bool, "seen": UnixTimestamp, "tags": Array(String), "marks": Array(Int64),
    }  # fmt: skip
    source = FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_timestamp")

    def view(name, entities, **schema):
        fields = [Field(name=each, dtype=kind) for each, kind in schema.items()]
        return FeatureView(name=name, entities=entities, schema=fields, source=source)

    stats = view("driver_stats", [driver], **kinds)
    pairs = view("pairs", [driver, word], driver_id=Int64, word=String, score=Float64)
    visits = view("visits", [driver], driver_id=Int64, times=Int64, place=String)
    model = FeatureService(name="driver_model", features=[stats[["trips", "city"]]])
    FeatureStore(repo_path=str(folder)).apply([driver, word, stats, pairs, visits, model])


def online(store, wanted):
    rows = [{"driver_id": each} for each in (1, 2)]
    forms = {"rows": rows, "columns": {"driver_id": [1, 2]}, "frame": pd.DataFrame({"driver_id": [1, 2]})}
    found = {}
    for form, entities in forms.items():
        try:
            found[form] = store.get_online_features(FEATURES, entities).to_dict()
        except Exception as error:  # noqa: BLE001 - that this version does not take a form is an answer
            found[form] = {"error": f"{type(error).__name__}: {error}"}
    found["full"] = store.get_online_features(FEATURES, rows, full_feature_names=True).to_dict()
    return found


def service(store, wanted):
    return store.get_online_features(store.get_feature_service("driver_model"), [{"driver_id": 1}]).to_dict()


def missing(store, wanted):
    return store.get_online_features(["driver_stats:trips", "driver_stats:city"], [{"driver_id": 99}]).to_dict()


def several_keys(store, wanted):
    return store.get_online_features(["pairs:score"], [{"driver_id": 1, "word": "a"}]).to_dict()


def write(store, wanted):
    row = {"driver_id": [7], "times": [70], "place": ["bern"], "event_timestamp": [TIME]}
    store.write_to_online_store("visits", pd.DataFrame(row))
    return store.get_online_features(["visits:times", "visits:place"], [{"driver_id": 7}]).to_dict()


def write_times(store, wanted):
    row = {
        "driver_id": [7], "trips": [2**40], "doors": [4], "rate": [0.1], "share": [0.5], "city": ["Zürich"],
        "active": [True], "seen": [datetime(2026, 1, 31, tzinfo=UTC)], "tags": [["a", "ü"]],
        "marks": [[1, 2]], "event_timestamp": [TIME],
    }  # fmt: skip
    store.write_to_online_store("driver_stats", pd.DataFrame(row))
    return store.get_online_features(FEATURES, [{"driver_id": 7}]).to_dict()


def grpc_stubs(store, wanted):
    import grpc
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub
    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
    from feast.protos.feast.serving.ServingService_pb2_grpc import ServingServiceStub
    from feast.protos.feast.types.Value_pb2 import Value

    request = GetOnlineFeaturesRequest()
    request.features.val.extend(FEATURES)
    request.entities["driver_id"].val.extend([Value(int64_val=1), Value(int64_val=99)])
    found = {}
    with grpc.insecure_channel(wanted["grpc"]) as channel:
        for stub in (ServingServiceStub(channel), GrpcFeatureServerStub(channel)):
            if not hasattr(stub, "GetOnlineFeatures"):
                found[type(stub).__name__] = None
                continue
            answer = stub.GetOnlineFeatures(request, timeout=120)
            found[type(stub).__name__] = {
                name: [[plain(value) for value in result.values], list(result.statuses)]  # noqa: PD011 - no frame
                for name, result in zip(answer.metadata.feature_names.val, answer.results, strict=True)
            }
    return found


def plain(value):
    kind = value.WhichOneof("val")
    found = getattr(value, kind) if kind else None
    return list(found.val) if kind and kind.endswith("list_val") else found


main()
