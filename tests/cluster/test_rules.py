"""What the API server itself refuses of a FeastProject, whether an operator runs or not, and in which words."""

from typing import Any

import pytest

from cluster.api import Api
from factories import a_project, problems_in

CASSANDRA = {"hosts": ["cassandra-1", "cassandra-2"], "keyspace": "feast"}
CLAIM = {"persistentVolumeClaim": "lake", "mountPath": "/data"}
LAKE = {"uri": "s3://lake/features", "s3": {"endpoint": "http://minio:9000", "region": "eu-central-1"}}
DAILY = {"cron": "0 2 * * *", "window": "7d"}

ONE_STORE = "give one of redis and cassandra"
REDIS_ALONE = "parity compares what is in Redis; take it out where the online store is Cassandra"
ONE_ROOT = "give exactly one of uri and persistentVolumeClaim"
MOUNTED = "mountPath goes with persistentVolumeClaim"
S3_URI = "s3 goes with a uri like s3://lake/features"


def online(**store: Any) -> dict[str, Any]:
    return {"onlineStore": store}


def root(**place: Any) -> dict[str, Any]:
    return {"offlineStore": {"dataRoot": place}}


ACCEPTED: list[dict[str, Any]] = [
    online(cassandra=CASSANDRA),
    # As the API server hands it back, with Redis' defaults beside it.
    online(cassandra=CASSANDRA, redis={"mode": "Standalone", "tls": False, "secretRef": {"name": "feast-online"}}),
    online(redis={"mode": "Sentinel", "sentinelMaster": "main"}),
    {"parity": {}},
    {"parity": {"sample": 100, "minimumRate": 0.5}, **online(redis={"tls": True})},
    root(**LAKE),
    root(uri="s3a://lake", s3={}),
    root(**CLAIM),
    {"runs": {"resources": {"requests": {"cpu": "100m"}}}, "offlineServer": {"resources": {"limits": {"memory": 1}}}},
    {"schedules": {"nightly": DAILY}},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    *(
        (online(cassandra=CASSANDRA, redis=redis), ONE_STORE)
        for redis in (
            {"mode": "Cluster"},
            {"tls": True},
            {"keyTtl": "1h"},
            {"secretRef": {"name": "redis"}},
        )
    ),
    ({"parity": {}, **online(cassandra=CASSANDRA)}, REDIS_ALONE),
    (online(redis={"mode": "Sentinel"}), "sentinelMaster goes with mode Sentinel"),
    (online(redis={"sentinelMaster": "main"}), "sentinelMaster goes with mode Sentinel"),
    (root(**LAKE, **CLAIM), ONE_ROOT),
    (root(), ONE_ROOT),
    (root(persistentVolumeClaim="lake"), MOUNTED),
    (root(uri="s3://lake", mountPath="/data"), MOUNTED),
    (root(uri="gs://lake", s3={"region": "eu-central-1"}), S3_URI),
    (root(**CLAIM, s3={}), S3_URI),
    ({"schedules": {"never": DAILY}}, "never means no schedule at all; choose another name"),
    ({"schedules": {"purge": DAILY}}, "manual, initial and purge are words for runs without a schedule"),
    ({"schedules": {"n" * 40: DAILY}}, "a CronJob <project>-materialize-<schedule> has at most 52 characters"),
]


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_may_be_is_accepted(api: Api, spec: dict[str, Any]) -> None:
    api.try_out(a_project(**spec), "default")
    assert problems_in(a_project(**spec)) == []


@pytest.mark.parametrize(("spec", "said"), REFUSED)
def test_what_cannot_be_is_refused_in_words_of_its_own(api: Api, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(AssertionError) as refused:
        api.try_out(a_project(**spec), "default")
    assert ": 422 " in str(refused.value)
    assert said in str(refused.value).replace("\\u003c", "<").replace("\\u003e", ">")
    assert problems_in(a_project(**spec)), "the model accepts it"
