"""Feast's protobuf messages without Feast.

`import feast` takes seconds and 170 MB; its generated `_pb2` modules need none of it, but live below the package. A
stand-in for the package, with nothing in it but the path, is in `sys.modules` while they are imported, and gone after.
"""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_WANTED = (
    "DataSource_pb2",
    "Entity_pb2",
    "FeatureService_pb2",
    "FeatureView_pb2",
    "LabelView_pb2",
    "OnDemandFeatureView_pb2",
    "Project_pb2",
    "Registry_pb2",
    "StreamFeatureView_pb2",
)


def _load() -> dict[str, Any]:
    stand_in = None
    if "feast" not in sys.modules:
        spec = find_spec("feast")
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError("Feast is not installed; install featureplane with its dependencies")
        stand_in = ModuleType("feast")
        stand_in.__path__ = list(spec.submodule_search_locations)
        sys.modules["feast"] = stand_in
    try:
        modules = {name: importlib.import_module(f"feast.protos.feast.core.{name}") for name in _WANTED}
        modules["Value_pb2"] = importlib.import_module("feast.protos.feast.types.Value_pb2")
        modules["ServingService_pb2"] = importlib.import_module("feast.protos.feast.serving.ServingService_pb2")
        modules["GrpcServer_pb2"] = importlib.import_module("feast.protos.feast.serving.GrpcServer_pb2")
        return modules
    finally:
        if stand_in is not None and sys.modules.get("feast") is stand_in:
            del sys.modules["feast"]


_modules = _load()

DataSource: Any = _modules["DataSource_pb2"].DataSource
Entity: Any = _modules["Entity_pb2"].Entity
FeatureService: Any = _modules["FeatureService_pb2"].FeatureService
FeatureView: Any = _modules["FeatureView_pb2"].FeatureView
LabelView: Any = _modules["LabelView_pb2"].LabelView
OnDemandFeatureView: Any = _modules["OnDemandFeatureView_pb2"].OnDemandFeatureView
Project: Any = _modules["Project_pb2"].Project
Registry: Any = _modules["Registry_pb2"].Registry
GrpcServer: Any = _modules["GrpcServer_pb2"]
ServingService: Any = _modules["ServingService_pb2"]
StreamFeatureView: Any = _modules["StreamFeatureView_pb2"].StreamFeatureView
Value: Any = _modules["Value_pb2"].Value
ValueType: Any = _modules["Value_pb2"].ValueType
