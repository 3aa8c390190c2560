"""The CRDs say what the models say: same fields, same bounds, same defaults, and a form that an API server takes."""

import copy
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ConfigDict, Field, ValidationError

from featureplane.model.base import Kind, Model, kubernetes
from featureplane.model.crd import RESOURCES, Resource, manifest, object_schema

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "crds"
BY_KIND = {resource.kind: resource for resource in RESOURCES}
every_kind = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_crds", ROOT / "tools" / "generate_crds.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# As little as each kind takes; the tests change a field at a time.
SMALLEST: dict[str, Schema] = {
    "FeatureView": {
        "entities": [{"name": "driver"}],
        "features": [{"name": "trips", "type": "Int64"}],
        "source": {"file": {"path": "trips.parquet"}, "timestampField": "event_timestamp"},
    },
    "FeastProject": {"project": "feast"},
    "FeatureService": {"views": [{"name": "trips"}]},
}


def an_object(kind: str, path: str = "", value: Any = None) -> Schema:
    """The smallest object of a kind, with the field at `spec.<path>` set to `value`, or left out if that is None."""
    spec = copy.deepcopy(SMALLEST[kind])
    if path:
        *parents, last = path.split(".")
        at: Any = spec
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if value is None:
            del at[last]
        else:
            at[int(last) if isinstance(at, list) else last] = value
    return {"apiVersion": "featureplane.dev/v1alpha1", "kind": kind, "metadata": {"name": "some-name"}, "spec": spec}


@cache
def schema_of(kind: str) -> Schema:
    """Made once: no test changes it."""
    return object_schema(BY_KIND[kind])


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema below this one, itself included, with the path that leads to it."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[{key}]")


def fields(resource: Resource) -> list[tuple[str, Schema]]:
    """Every schema that is ours: the API server brings apiVersion, kind and metadata."""
    theirs = (".apiVersion", ".kind", ".metadata")
    return [(path, node) for path, node in nodes(schema_of(resource.kind)) if path not in theirs]


# --- the files


def test_the_files_are_what_the_models_say(tool):
    assert not tool.check(CRDS), "run `make generate`"


def test_the_files_hold_the_manifests(tool):
    """What is folded and quoted for people reads back as it was."""
    for resource in RESOURCES:
        assert yaml.safe_load(tool.render(manifest(resource))) == manifest(resource)


def test_check_prints_the_difference_and_changes_nothing(tool, tmp_path, capsys):
    assert tool.main(["--folder", str(tmp_path)]) == 0
    assert tool.main(["--folder", str(tmp_path), "--check"]) == 0
    changed = tmp_path / "featureplane.dev_featureviews.yaml"
    text = changed.read_text().replace("maxItems: 500", "maxItems: 5000")
    changed.write_text(text)
    (tmp_path / "featureplane.dev_left-over.yaml").write_text("kind: Old\n")
    assert tool.main(["--folder", str(tmp_path), "--check"]) == 1
    printed = capsys.readouterr().out
    assert "-                maxItems: 5000\n+                maxItems: 500\n" in printed
    assert "-kind: Old" in printed
    assert changed.read_text() == text


def test_writing_takes_away_what_is_not_generated(tool, tmp_path):
    (tmp_path / "featureplane.dev_left-over.yaml").write_text("kind: Old\n")
    assert tool.main(["--folder", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in CRDS.iterdir()}


# --- names


@pytest.mark.parametrize(
    ("kind", "plural", "short_name"),
    [
        ("FeatureView", "featureviews", "fv"),
        ("FeastProject", "feastprojects", "fproj"),
        ("FeatureService", "featureservices", "fsvc"),
    ],
)
def test_names(kind, plural, short_name):
    crd = manifest(BY_KIND[kind])
    assert crd["metadata"]["name"] == f"{plural}.featureplane.dev"
    assert crd["spec"]["group"] == "featureplane.dev"
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"] == {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": [short_name],
        "categories": ["features"],
    }
    (version,) = crd["spec"]["versions"]
    assert version["name"] == "v1alpha1"
    assert version["subresources"] == {"status": {}}


# --- the form


@every_kind
def test_every_field_is_described(resource):
    """`kubectl explain` is the documentation, of items and values too."""
    assert [path for path, node in fields(resource) if not node.get("description")] == []


@every_kind
def test_descriptions_are_one_line(resource):
    """kubectl wraps them itself."""
    assert [path for path, node in fields(resource) if re.search(r"\s{2}|\n", node["description"])] == []


def _unbounded(node: Schema) -> bool:
    if node.get("x-kubernetes-int-or-string"):
        return "maxLength" not in node
    match node.get("type"):
        case "string":
            return "maxLength" not in node and "enum" not in node
        case "array":
            return "maxItems" not in node
        case "object":
            return "properties" not in node and "maxProperties" not in node
    return False


@every_kind
def test_every_text_list_and_map_is_bounded(resource):
    """Or the API server's estimate of what a CEL rule costs knows no bounds either."""
    assert [path for path, node in fields(resource) if _unbounded(node)] == []


@every_kind
def test_the_keys_of_every_map_are_bounded_by_a_rule(resource):
    maps = [(path, node) for path, node in fields(resource) if "additionalProperties" in node]
    rules = {path: [one["rule"] for one in node["x-kubernetes-validations"]] for path, node in maps}
    assert all(
        any(re.match(r"self\.all\(key, size\(key\) >= 1 && size\(key\) <= \d+", text) for text in texts)
        for texts in rules.values()
    )


_STRUCTURAL = {
    *("description", "type", "format", "default", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "required"),
    *("properties", "items", "additionalProperties"),
}


@every_kind
def test_schemas_are_structural(resource):
    for path, node in fields(resource):
        extensions = {key for key in node if key.startswith("x-kubernetes-")}
        either = {"anyOf"} if "x-kubernetes-int-or-string" in node else set()
        assert node.keys() - _STRUCTURAL - extensions == either, path
        untyped = {"x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"} & node.keys()
        assert "type" in node or untyped, path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert set(node.get("required", ())) <= node.get("properties", {}).keys(), path


@every_kind
def test_lists_say_how_they_merge(resource):
    """Without it server-side apply takes every list as one value. The keys of a map's items are required."""
    for path, node in fields(resource):
        if node.get("type") == "array":
            assert node["x-kubernetes-list-type"] in {"atomic", "set", "map"}, path
            assert set(node.get("x-kubernetes-list-map-keys", ())) <= set(node["items"].get("required", ())), path


@every_kind
def test_a_rule_is_in_form(resource):
    for path, node in fields(resource):
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule.keys() - {"fieldPath"} == {"rule", "message"}, path
            assert len(rule["message"]) <= 2048, path
            assert "\n" not in rule["rule"] + rule["message"], path


def test_unknown_fields_are_kept_only_where_options_are_handed_on():
    kept = [
        f"{resource.kind}{path}"
        for resource in RESOURCES
        for path, node in fields(resource)
        if "x-kubernetes-preserve-unknown-fields" in node
    ]
    assert sorted(kept) == [
        "FeastProject.spec.batchEngine.options",
        "FeastProject.spec.offlineStore.options",
        "FeastProject.spec.podTemplate",
        "FeastProject.spec.server.auth.options",
        "FeatureView.spec.features[items].checks.in[items]",
    ]


class _Bounded(Model):
    above: Annotated[int, Field(gt=0)]
    """A bound that a structural schema writes otherwise."""


class _OpenMap(Model):
    tags: dict[str, str]
    """A map whose keys may be anything."""


class _Either(Model):
    value: int | str
    """Two types, without saying so to Kubernetes."""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (_Bounded, r"Odd\.spec\.above: a structural schema has no place for exclusiveMinimum"),
        (_OpenMap, r"Odd\.spec\.tags: the keys of a map need bounds"),
        (_Either, r"Odd\.spec\.value: a structural schema has no place for anyOf"),
    ],
)
def test_what_has_no_structural_form_is_refused_when_generating(spec, message):
    odd = type("Odd", (Kind,), {"__annotations__": {"spec": spec}, "__module__": __name__})
    with pytest.raises(ValueError, match=message):
        object_schema(Resource(odd, "odds", "odd", {}, ()))


def test_rules_of_a_field_and_of_its_type_add_up():
    class Inner(Model):
        model_config = ConfigDict(
            json_schema_extra=kubernetes(validations=[{"rule": "self.a", "message": "inner"}]),
        )
        a: bool
        """Something."""

    class Spec(Model):
        inner: Annotated[
            Inner, Field(json_schema_extra=kubernetes(validations=[{"rule": "self.b", "message": "field"}]))
        ]
        """Something else."""

    odd = type("Odd", (Kind,), {"__annotations__": {"spec": Spec}, "__module__": __name__})
    schema = object_schema(Resource(odd, "odds", "odd", {}, ()))
    rules = schema["properties"]["spec"]["properties"]["inner"]["x-kubernetes-validations"]
    assert [rule["message"] for rule in rules] == ["inner", "field"]


# --- what may not change


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("FeatureView", ".spec"),  # the name, set or not: a rule on the name itself is skipped when it comes or goes
        ("FeatureView", ".spec.projectRef"),
        ("FeatureView", ".spec.entities"),
        ("FeatureView", ".spec.features[items]"),
        ("FeatureService", ".spec"),
        ("FeatureService", ".spec.projectRef"),
        ("FeastProject", ".spec.project"),
    ],
)
def test_promises_are_kept_by_the_api_server(kind, path):
    node = dict(fields(BY_KIND[kind]))[path]
    assert any("oldSelf" in rule["rule"] for rule in node["x-kubernetes-validations"])


@pytest.mark.parametrize("kind", ["FeatureView", "FeatureService"])
def test_a_project_ref_is_always_there(kind):
    """Or the rule on it would be skipped when it is added or taken away."""
    assert defaulted(schema_of(kind), an_object(kind))["spec"]["projectRef"] == {"name": "feast"}


# --- defaults


def defaulted(schema: Schema, value: Any) -> Any:
    """What the API server does with defaults: fill in what is absent, then look into what is there."""
    if isinstance(value, dict):
        value = dict(value)
        for name, field in schema.get("properties", {}).items():
            if name not in value and "default" in field:
                value[name] = copy.deepcopy(field["default"])
        inner = {name: schema.get("properties", {}).get(name, schema.get("additionalProperties", {})) for name in value}
        return {name: defaulted(inner[name], item) for name, item in value.items()}
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), item) for item in value]
    return value


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in ("", [], {}, None)}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


@every_kind
@pytest.mark.parametrize("written", ["as little as is valid", "objects that are there but empty"])
def test_defaults_are_the_models(resource, written):
    value = an_object(resource.kind)
    if written != "as little as is valid":
        spec = schema_of(resource.kind)["properties"]["spec"]["properties"]
        value["spec"] |= {name: {} for name, field in spec.items() if field.get("default") == {}}
    filled = defaulted(schema_of(resource.kind), value)
    ours = resource.model.model_validate(value)
    assert resource.model.model_validate(filled) == ours
    dumped = ours.model_dump(mode="json", by_alias=True)["spec"]
    # The entries of a map are the model's alone: the API server's would stay beside a user's.
    dumped.pop("schedules", None)
    assert _without_empty(filled["spec"]) == _without_empty(dumped)


@every_kind
def test_a_default_is_valid_as_it_stands(resource):
    """The API server checks a default before it fills in the defaults inside it."""
    for path, node in fields(resource):
        if "default" in node:
            assert accepts(node, node["default"]), path


def test_nothing_is_stored_for_what_was_left_empty():
    filled = defaulted(schema_of("FeatureView"), an_object("FeatureView"))
    assert filled["spec"]["features"] == [{"name": "trips", "type": "Int64"}]
    assert filled["spec"]["entities"] == [{"name": "driver", "type": "String"}]


# --- the same verdict


def accepts(schema: Schema, value: Any) -> bool:
    return Draft202012Validator(schema).is_valid(value)


def model_accepts(value: Schema) -> bool:
    try:
        BY_KIND[value["kind"]].model.model_validate(value)
    except ValidationError:
        return False
    return True


_DEEP_TYPE = "Array(Array(Struct({price: Float64, unit: String})))"
OIDC = {"issuer": "https://idp.example.com/realms/ml", "audience": "feast"}
GOOD = [
    ("FeatureView", "name", "254carbon_Driver-Stats"),
    ("FeatureView", "name", "a" * 63),
    ("FeatureView", "projectRef", {}),
    ("FeatureView", "projectRef", {"name": "other.project", "namespace": "team-a"}),
    ("FeatureView", "description", "Zahlen, täglich\nneu: {{ }} ${X} '\""),
    ("FeatureView", "description", "ä" * 8192),
    ("FeatureView", "tags", {"domain": "markets", "empty": ""}),
    ("FeatureView", "entities.0", {"name": "driver", "joinKey": "driver_id", "type": "Int64", "owner": "me"}),
    ("FeatureView", "features.0", {"name": "trips", "type": _DEEP_TYPE}),
    ("FeatureView", "features.0.checks", {"notNull": True, "minimum": 0, "maximum": 1.5, "in": [1, 2, 3]}),
    ("FeatureView", "features.0.checks", {"maxNullFraction": 0.5}),
    ("FeatureView", "features.0.type", "Struct({a: Int64})"),
    ("FeatureView", "ttl", "1d12h"),
    ("FeatureView", "online", False),
    ("FeatureView", "source", {"postgres": {"table": "public.trips"}, "timestampField": "ts"}),
    ("FeatureView", "source", {"spark": {"table": "lake.public.trips"}, "timestampField": "ts"}),
    ("FeatureView", "source.file.path", "a=1/b c/*.parquet"),
    ("FeatureView", "source.fieldMapping", {"n": "trips"}),
    ("FeatureView", "push", {"enabled": True, "name": "trips_push"}),
    ("FeatureView", "materialization", {"schedule": "never", "window": "90m", "initial": False}),
    ("FeatureView", "deletionPolicy", "Retain"),
    ("FeastProject", "project", "254carbon"),
    ("FeastProject", "allowedNamespaces", ["a", "team-b"]),
    ("FeastProject", "onlineStore", {"redis": {"mode": "Sentinel", "sentinelMaster": "main", "keyTtl": "30d"}}),
    ("FeastProject", "onlineStore", {"cassandra": {"hosts": ["c-0.c", "10.0.0.1"], "keyspace": "fraud", "tls": True}}),
    ("FeastProject", "offlineStore", {"type": "spark", "options": {"spark_conf": {"a.b": 1, "c": [True]}}}),
    ("FeastProject", "offlineStore", {"dataRoot": {"uri": "s3://lake/features"}, "secretRef": {"name": "lake"}}),
    ("FeastProject", "offlineStore.dataRoot", {"uri": "s3a://lake", "s3": {"endpoint": "http://minio:9000"}}),
    ("FeastProject", "offlineStore.dataRoot", {"persistentVolumeClaim": "lake", "mountPath": "/data"}),
    ("FeastProject", "parity", {}),
    ("FeastProject", "parity", {"cron": "0 3 * * MON", "sample": 1, "minimumRate": 1, "loggedDifferences": 1000}),
    ("FeastProject", "schedules", {"weekly": {"cron": "0 3 * * MON", "window": "8d", "timeZone": "Europe/Berlin"}}),
    (
        "FeastProject",
        "server.resources",
        {"requests": {"cpu": "500m", "nvidia.com/gpu": 1}, "limits": {"memory": "1.5Gi"}},
    ),
    ("FeastProject", "server.autoscaling", {}),
    ("FeastProject", "server", {"replicas": 0, "workers": 64, "http": {"port": 65535}}),
    ("FeastProject", "server.auth", {"type": "oidc", "oidc": OIDC | {"writers": ["w"], "rolesClaim": "a.b"}}),
    ("FeastProject", "server.auth", {"type": "oidc", "oidc": OIDC | {"issuer": "http://127.0.0.1:8080/realms/ml"}}),
    ("FeastProject", "server.auth", {"type": "kubernetes", "kubernetes": {"audiences": ["featureplane"]}}),
    ("FeastProject", "server.tls", {"secretRef": {"name": "server-tls"}}),
    ("FeastProject", "podTemplate", {"spec": {"tolerations": [{"key": "a"}]}}),
    ("FeatureService", "views.0.features", ["trips", "rating"]),
    ("FeatureService", "owner", "models@example.com"),
]
BAD = [
    ("FeatureView", "name", ""),
    ("FeatureView", "name", "a__b"),
    ("FeatureView", "name", "a" * 64),
    ("FeatureView", "name", "trips; drop"),
    ("FeatureView", "name", 7),
    ("FeatureView", "projectRef.name", "Feast"),
    ("FeatureView", "projectRef.namespace", "a.b"),
    ("FeatureView", "description", "a" * 8193),
    ("FeatureView", "owner", "a" * 257),
    ("FeatureView", "tags", {f"key{number}": "" for number in range(65)}),
    ("FeatureView", "tags", {"domain": "a" * 1025}),
    ("FeatureView", "tags", {"domain": 1}),
    ("FeatureView", "entities", None),
    ("FeatureView", "entities", []),
    ("FeatureView", "entities", [{"name": f"entity{number}"} for number in range(9)]),
    ("FeatureView", "entities.0.type", "Float64"),
    ("FeatureView", "entities.0.name", None),
    ("FeatureView", "features", None),
    ("FeatureView", "features", []),
    ("FeatureView", "features", [{"name": f"feature{number}", "type": "Int64"} for number in range(501)]),
    ("FeatureView", "features.0.type", None),
    ("FeatureView", "features.0.type", "int64"),
    ("FeatureView", "features.0.type", "Array()"),
    ("FeatureView", "features.0.checks", {"maxNullFraction": 1.5}),
    ("FeatureView", "features.0.checks", {"in": []}),
    ("FeatureView", "features.0.checks", {"in": list(range(257))}),
    ("FeatureView", "features.0.checks", {"notNull": "yes"}),
    ("FeatureView", "ttl", "2 days"),
    ("FeatureView", "ttl", ""),
    ("FeatureView", "ttl", 3600),
    ("FeatureView", "source", None),
    ("FeatureView", "source.timestampField", None),
    ("FeatureView", "source.timestampField", "event time"),
    ("FeatureView", "source.file.path", "/etc/passwd"),
    ("FeatureView", "source.file.path", "s3://bucket/a"),
    ("FeatureView", "source.file.path", "a//b"),
    ("FeatureView", "source.file.path", "a" * 513),
    ("FeatureView", "source.file.format", "csv"),
    ("FeatureView", "source.fieldMapping", {"n": "no column"}),
    ("FeatureView", "source", {"postgres": {"table": "a.b.c"}, "timestampField": "ts"}),
    ("FeatureView", "source", {"postgres": {"table": "a; drop"}, "timestampField": "ts"}),
    ("FeatureView", "source", {"spark": {"table": "csv.users"}, "timestampField": "ts"}),
    ("FeatureView", "source", {"spark": {"table": "a.b.`c`"}, "timestampField": "ts"}),
    ("FeatureView", "materialization.schedule", "Hourly"),
    ("FeatureView", "deletionPolicy", "delete"),
    ("FeatureView", "suspend", "true"),
    ("FeastProject", "project", None),
    ("FeastProject", "project", "a b"),
    ("FeastProject", "allowedNamespaces", ["Team"]),
    ("FeastProject", "allowedNamespaces", [f"team-{number}" for number in range(257)]),
    ("FeastProject", "registry.postgresql.secretRef", {"name": "Not_DNS"}),
    ("FeastProject", "registry.postgresql.secretRef", {}),
    ("FeastProject", "onlineStore.redis.mode", "sentinel"),
    ("FeastProject", "onlineStore", {"cassandra": {"hosts": ["c:9042/x"], "keyspace": "k"}}),
    ("FeastProject", "onlineStore", {"cassandra": {"hosts": [], "keyspace": "k"}}),
    ("FeastProject", "onlineStore", {"cassandra": {"hosts": ["c"], "keyspace": "My Keys"}}),
    ("FeastProject", "offlineStore.type", "sqlite"),
    ("FeastProject", "offlineStore.dataRoot", {"uri": "http://lake"}),
    ("FeastProject", "parity", {"cron": "@daily"}),
    ("FeastProject", "parity", {"sample": 0}),
    ("FeastProject", "parity", {"minimumRate": 1.5}),
    ("FeastProject", "parity", {"loggedDifferences": -1}),
    ("FeastProject", "offlineStore.dataRoot", {"uri": "s3://lake", "s3": {"endpoint": "http://a:b@minio"}}),
    ("FeastProject", "schedules", {}),
    ("FeastProject", "schedules", {"hourly": {"cron": "5 * * * *"}}),
    ("FeastProject", "schedules", {"hourly": {"cron": "@hourly", "window": "2h"}}),
    ("FeastProject", "schedules", {"hourly": {"cron": "5 * * * *", "window": "2h", "parallelism": 0}}),
    ("FeastProject", "batchEngine.type", "flux"),
    ("FeastProject", "server.replicas", -1),
    ("FeastProject", "server.workers", 65),
    ("FeastProject", "server.http", {"port": 80}),
    ("FeastProject", "server.http", {}),
    ("FeastProject", "server.auth.type", "basic"),
    ("FeastProject", "server.auth", {"type": "oidc", "oidc": {"issuer": "https://idp"}}),
    ("FeastProject", "server.auth", {"type": "oidc", "oidc": OIDC | {"issuer": "https://user:password@idp"}}),
    ("FeastProject", "server.auth", {"type": "oidc", "oidc": OIDC | {"issuer": "https://idp$HOME"}}),
    ("FeastProject", "server.auth", {"type": "oidc", "oidc": OIDC | {"issuer": "http://idp.example.com"}}),
    ("FeastProject", "server.auth", {"type": "oidc", "oidc": OIDC | {"readers": [""]}}),
    ("FeastProject", "server.tls", {}),
    ("FeastProject", "server.resources.requests", {"cpu": "much"}),
    ("FeastProject", "server.resources.requests", {"cpu": -1}),
    ("FeastProject", "server.resources.requests", {"cpu": 0.5}),
    ("FeastProject", "server.resources.requests", {"cpu": True}),
    ("FeastProject", "purgeAfter", "soon"),
    ("FeastProject", "podTemplate", []),
    ("FeatureService", "views", None),
    ("FeatureService", "views", []),
    ("FeatureService", "views", [{"name": f"view{number}"} for number in range(101)]),
    ("FeatureService", "views.0.features", []),
    ("FeatureService", "views.0.features", ["a__b"]),
]


def _named(cases: list[tuple[str, str, Any]]) -> Any:
    def shown(value: Any) -> str:
        return "left out" if value is None else ascii(value)[:40]

    return pytest.mark.parametrize(
        "value",
        [pytest.param(an_object(*case), id=f"{case[0]}.{case[1]}={shown(case[2])}") for case in cases],
    )


@_named(GOOD)
def test_what_the_model_accepts_the_schema_accepts(value):
    assert model_accepts(value)
    assert accepts(schema_of(value["kind"]), value)


@_named(BAD)
def test_what_the_model_refuses_the_schema_refuses(value):
    assert not model_accepts(value)
    assert not accepts(schema_of(value["kind"]), value)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_the_schema_accepts_every_example(path):
    for value in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if value and value["kind"] in BY_KIND:
            errors = Draft202012Validator(schema_of(value["kind"])).iter_errors(value)
            assert [f"{error.json_path}: {error.message}" for error in errors] == []


# --- the status, and what `kubectl get` shows of it


@every_kind
def test_conditions_are_a_map_by_type(resource):
    conditions = schema_of(resource.kind)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    condition = {
        "type": "Ready",
        "status": "False",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-20T10:00:00Z",
        "reason": "NameConflict",
        "message": "an older view has this name",
    }
    assert accepts(conditions, [condition])
    assert not accepts(conditions, [condition | {"status": "Maybe"}])
    assert not accepts(conditions, [condition | {"reason": "two words"}])
    assert not accepts(conditions, [{"type": "Ready", "status": "True"}])


def test_a_view_remembers_five_runs():
    runs = dict(fields(BY_KIND["FeatureView"]))[".status.runs"]
    assert runs["maxItems"] == 5
    assert list(runs["items"]["properties"]) == [
        *("job", "window", "startTime", "completionTime"),
        *("rowsRead", "rowsWritten", "rejected", "result", "message"),
    ]


def _at(schema: Schema, path: str) -> Schema | None:
    """The schema at a JSONPath of a column: names, an index, or a filter by an item's field."""
    for name, index, key in re.findall(r"\.([A-Za-z]+)|\[(\d+)\]|\[\?\(@\.([a-z]+)==\"[A-Za-z]+\"\)\]", path):
        if index or key:
            schema = schema["items"]
            if key and key not in schema["properties"]:
                return None
        elif name in schema.get("properties", {}):
            schema = schema["properties"][name]
        else:
            return None
    return schema


@every_kind
def test_columns_show_fields_that_exist(resource):
    ours = schema_of(resource.kind)["properties"]
    metadata = {"properties": {"creationTimestamp": {"type": "string", "format": "date-time"}}}
    schema = {"properties": ours | {"metadata": metadata}}
    columns = manifest(resource)["spec"]["versions"][0]["additionalPrinterColumns"]
    for column in columns:
        shown = _at(schema, column["jsonPath"])
        assert shown, column
        assert column["type"] == ("date" if shown.get("format") == "date-time" else shown["type"]), column
    assert len({column["name"] for column in columns}) == len(columns)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("FeatureView", ["Ready", "Schedule", "Last Run", "Staleness", "Reason", "Deprecated"]),
        ("FeastProject", ["Project", "Ready", "Reason", "Views", "Endpoint", "Age", "Message"]),
        ("FeatureService", ["Ready", "Views", "Features", "Reason", "Deprecated", "Age"]),
    ],
)
def test_a_narrow_terminal_shows_what_matters(kind, shown):
    columns = manifest(BY_KIND[kind])["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == shown
