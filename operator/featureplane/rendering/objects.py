"""Definitions back to custom resources: the inverse of `definitions.define`, for `featureplane import`.

For every object returned here, declaring it gives the definitions it was made from (a test holds that).
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from featureplane import deprecation, names
from featureplane.model.durations import format_duration
from featureplane.model.feast_project import default_project
from featureplane.rendering.definitions import Definition, Json, Key, project_extras

Object = dict[str, Any]


def kubernetes_name(feast_name: str) -> str:
    """A name for the object: lower case, `-` for what Kubernetes' names lack."""
    return re.sub(r"[^a-z0-9]+", "-", feast_name.lower()).strip("-") or "x"


def data_root(paths: Iterable[str]) -> str:
    """The folder or URI that the file sources share: `.` where their paths are relative to the Feast repo."""
    roots: dict[str, list[str]] = {}
    for path in paths:
        scheme, separator, rest = path.partition("://")
        prefix = f"{scheme}://{rest.split('/')[0]}" if separator else ("/" if path.startswith("/") else ".")
        roots.setdefault(prefix, []).append(path)
    if not roots:
        return "."
    prefix, members = max(roots.items(), key=lambda item: (len(item[1]), item[0]))
    if prefix == ".":
        return "."
    folders = [str(PurePosixPath("/", path.removeprefix(prefix).lstrip("/")).parent) for path in members]
    common = posixpath.commonpath(folders).strip("/")
    return (prefix if prefix == "/" else f"{prefix}/") + common if common else prefix


def project_object(name: str, definition: Definition | None, root: str, offline_store: str) -> Object:
    """A FeastProject for a project that Feast alone knew."""
    spec: Object = {"project": name, **(_free_text(definition.spec) if definition else {})}
    spec["offlineStore"] = {"type": offline_store, "dataRoot": {"uri": root}}
    if offline_store == "spark":
        spec["batchEngine"] = {"type": "spark.engine"}
    extras = definition.extras if definition else {}
    usual = project_extras(default_project("default"))
    if extras.get("schedules", usual["schedules"]) != usual["schedules"]:
        spec["schedules"] = {
            name: {"cron": item["cron"], "timeZone": item["time_zone"], "window": item["window"]}
            for name, item in extras["schedules"].items()
        }
    if extras.get("purge_after", usual["purge_after"]) != usual["purge_after"]:
        spec["purgeAfter"] = extras["purge_after"]
    own = kubernetes_name(name)
    # Services are named after it, and none starts with a digit.
    return _object(names.FEAST_PROJECT, own if own[0].isalpha() else f"feast-{own}", spec)


def view_object(view: Definition, everything: Mapping[Key, Definition], root: str, project: str) -> Object:
    """A FeatureView. Raises ValueError when a source lies outside `root`."""
    spec = view.spec
    entities = [everything["entity", entity["name"]].spec for entity in spec["entities"]]
    extras = view.extras
    body: Object = {
        **_name(spec["name"]),
        "projectRef": {"name": project},
        **_free_text({**spec, "tags": {}}),
        **_tags(spec["tags"]),
        "entities": [_entity(entity) for entity in entities],
        "features": [_feature(feature, extras["checks"].get(feature["name"])) for feature in spec["features"]],
        **({"ttl": format_duration(timedelta(seconds=spec["ttl_seconds"]))} if spec["ttl_seconds"] else {}),
        **({} if spec["online"] else {"online": False}),
        "source": _source(everything["data_source", spec["source"]].spec, spec["name"], root),
    }
    if spec["push_source"]:
        default = f"{spec['name']}_push"
        body["push"] = {"enabled": True, **({"name": spec["push_source"]} if spec["push_source"] != default else {})}
    materialization = {
        **({"schedule": extras["schedule"]} if extras["schedule"] != "hourly" else {}),
        **({"window": extras["window"]} if extras["window"] else {}),
        **({} if extras["initial"] else {"initial": False}),
    }
    body |= {"materialization": materialization} if materialization else {}
    body |= {"suspend": True} if extras["suspend"] else {}
    body |= {"deletionPolicy": extras["deletion_policy"]} if extras["deletion_policy"] != "Delete" else {}
    return _object(names.FEATURE_VIEW, kubernetes_name(spec["name"]), body)


def service_object(service: Definition, everything: Mapping[Key, Definition], project: str) -> Object:
    """A FeatureService; features are left out where they are all of a view's, in its order."""
    views = []
    for view in service.spec["views"]:
        known = [feature["name"] for feature in everything["feature_view", view["name"]].spec["features"]]
        views.append({"name": view["name"], **({"features": view["features"]} if view["features"] != known else {})})
    spec = service.spec
    words = {**_free_text({**spec, "tags": {}}), **_tags(spec["tags"])}
    body = {**_name(spec["name"]), "projectRef": {"name": project}, **words, "views": views}
    return _object(names.FEATURE_SERVICE, kubernetes_name(service.spec["name"]), body)


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _name(feast_name: str) -> Object:
    """`spec.name` where the object's name does not say it already."""
    return {} if kubernetes_name(feast_name).replace("-", "_") == feast_name else {"name": feast_name}


def _free_text(spec: Json) -> Object:
    return {
        key: dict(spec[key]) if key == "tags" else spec[key] for key in ("description", "owner", "tags") if spec[key]
    }


def _tags(tags: Mapping[str, str]) -> Object:
    """`tags`, and `deprecated` where some of them say it, of an object that may say it."""
    found = deprecation.read(tags)
    left = deprecation.without(tags)
    said = {"since": found.since, "message": found.message, "replacedBy": found.replaced_by} if found else {}
    deprecated = {key: value for key, value in said.items() if value}
    return {**({"tags": left} if left else {}), **({"deprecated": deprecated} if deprecated else {})}


def _entity(spec: Json) -> Object:
    key = {"joinKey": spec["join_key"]} if spec["join_key"] != spec["name"] else {}
    return {"name": spec["name"], **key, "type": spec["type"], **_free_text(spec)}


def _feature(spec: Json, checks: Json | None) -> Object:
    extra = _tags(spec["tags"])
    described = {"description": spec["description"]} if spec["description"] else {}
    return {
        "name": spec["name"],
        "type": spec["type"],
        **described,
        **extra,
        **({"checks": dict(checks)} if checks else {}),
    }


def _source(spec: Json, view: str, root: str) -> Object:
    source: Object = {}
    if spec["type"] == "file":
        file_format = {"format": "delta"} if spec["format"] == "delta" else {}
        source["file"] = {"path": _below(spec["path"], root), **file_format}
    else:
        source[spec["type"]] = {"table": spec["table"]}
    if spec["name"] != f"{view}_source":
        source["name"] = spec["name"]
    source["timestampField"] = spec["timestamp_field"]
    if spec["created_timestamp_column"]:
        source["createdTimestampColumn"] = spec["created_timestamp_column"]
    if spec["field_mapping"]:
        source["fieldMapping"] = dict(spec["field_mapping"])
    return {**source, **_free_text(spec)}


def _below(path: str, root: str) -> str:
    if root == ".":
        return path
    prefix = root.rstrip("/") + "/"
    if not path.startswith(prefix):
        raise ValueError(f"its source {path} does not lie below {root} as the others' do")
    return path.removeprefix(prefix)
