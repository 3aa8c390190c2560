"""A project whose rows are in Cassandra: written by Feast's engine, served behind our server, removed. In order."""

import datetime as dt

import grpc
import httpx
import pytest

from cli.commands import Place
from data.cassandra.cassandra_server import KEYSPACE
from data.cassandra.project import AMOUNTS, NOON, VIEW, Fraud, asked, cassandra, found_by_doctor, objects
from factories import a_feature, a_feature_view, a_project, a_source, an_entity, declared
from featureplane.local.redis_server import HOST
from featureplane.materialization.history import FAILED, SUCCEEDED, Run
from featureplane.materialization.purge_cassandra import CassandraRows
from featureplane.materialization.run import materializer
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.registry.plan import compare
from featureplane.registry.protos import ServingService
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.rendering.definitions import define
from featureplane.serving.app import Where, serving
from featureplane.settings import Settings


@pytest.fixture(scope="module")
def copied(fraud: Fraud) -> Run:
    return fraud.copy(fraud.online)


def test_nothing_is_there_before_the_first_row(fraud: Fraud) -> None:
    assert fraud.tables() == []


def test_a_run_makes_the_table_and_counts_its_rows(copied: Run, fraud: Fraud) -> None:
    assert (copied.result, copied.message, copied.rows_written) == (SUCCEEDED, "", 2)
    assert copied.max_event_time == NOON
    assert fraud.tables() == [f"feast_{VIEW}"]


def test_it_is_served_over_http_and_grpc_and_takes_pushes(copied: Run, fraud: Fraud) -> None:
    project = fraud.project(*objects(fraud.online, writes=True))
    with serving(project, fraud.stores, fraud.root, Where(grpc_port=0)) as server:
        server.wait_until_ready()
        assert asked(server.url, "t2", "t1", "nobody") == [99.0, 12.5, None]
        said = httpx.get(f"{server.url}/status", trust_env=False, timeout=200).json()
        assert said["online_store"] == {"type": "Cassandra", "problem": ""}
        request = ServingService.GetOnlineFeaturesRequest(features={"val": [f"{VIEW}:amount"]})
        request.entities["transaction"].val.add(string_val="t1")
        with grpc.insecure_channel(server.grpc) as channel:
            call = channel.unary_unary(
                "/feast.serving.ServingService/GetOnlineFeatures",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=ServingService.GetOnlineFeaturesResponse.FromString,
            )
            answer = call(request, timeout=200)
        assert [value.double_val for value in answer.results[1].values] == [12.5]
        frame = {"transaction": ["t3"], "amount": [7.0], "score": [1.0], "event_timestamp": [NOON.isoformat()]}
        body = {"push_source_name": f"{VIEW}_push", "df": frame, "to": "online"}
        pushed = httpx.post(f"{server.url}/push", json=body, trust_env=False, timeout=200)
        assert pushed.status_code == 200, pushed.text
        assert asked(server.url, "t3") == [7.0]


def test_doctor_asks_it(fraud: Fraud, place: Place) -> None:
    finding = found_by_doctor(place, fraud.online)
    assert finding["state"] in {"ok", "warn"}, finding
    assert finding["detail"].startswith(f"Cassandra 5.0.6 at {HOST}"), finding


def test_credentials_that_are_refused_are_said_by_their_secret(
    copied: Run, fraud: Fraud, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "another password"
    monkeypatch.setenv("FEATUREPLANE_CASSANDRA_PASSWORD", other)
    place.variables["FEATUREPLANE_CASSANDRA_PASSWORD"] = other
    online = cassandra(fraud.server.port, secretRef={"name": "transactions"})
    run = fraud.copy(online)
    for words in (run.message, found_by_doctor(place, online)["detail"]):
        assert "refuses the credentials; correct username and password in the Secret 'transactions'" in words
        assert f"{HOST}:{fraud.server.port}" in words
        assert other not in words
    assert run.result == FAILED


def test_a_user_that_is_not_given_is_said_by_the_secret(fraud: Fraud, place: Place) -> None:
    place.variables |= {"FEATUREPLANE_CASSANDRA_USERNAME": "", "FEATUREPLANE_CASSANDRA_PASSWORD": ""}
    found = found_by_doctor(place, fraud.online)
    assert found["state"] == "fail"
    assert (
        f"{HOST}:{fraud.server.port} refuses the credentials; correct username and password in the Secret"
        in found["detail"]
    )


def test_a_datacenter_that_is_not_there_is_said(fraud: Fraud, place: Place) -> None:
    found = found_by_doctor(place, cassandra(fraud.server.port, datacenter="elsewhere"))
    assert found["state"] == "fail"
    assert "no server of the datacenter 'elsewhere' can be connected to" in found["detail"]
    assert "correct spec.onlineStore.cassandra.datacenter" in found["detail"]


def test_a_host_that_does_not_answer_is_said(copied: Run, fraud: Fraud, place: Place) -> None:
    online = cassandra(9)
    run = fraud.copy(online)
    for words in (run.message, found_by_doctor(place, online)["detail"]):
        assert words.startswith(f"Cassandra at {HOST}:9 does not answer"), words
    assert run.result == FAILED


def test_a_keyspace_that_is_not_there_is_said_with_how_to_make_it(copied: Run, fraud: Fraud, place: Place) -> None:
    online = cassandra(fraud.server.port, keyspace="nowhere")
    run = fraud.copy(online)
    for words in (run.message, found_by_doctor(place, online)["detail"]):
        assert "has no keyspace 'nowhere'; make it: CREATE KEYSPACE nowhere WITH replication" in words
    assert run.result == FAILED


def test_a_table_that_is_another_projects_is_left_alone(copied: Run, fraud: Fraud) -> None:
    view = a_feature_view(
        "features",
        entities=[an_entity("transaction")],
        features=[a_feature("amount", "Float64")],
        source=a_source(file={"path": "transactions.parquet"}),
    )
    (other,) = declared(a_project(project="feast_transaction", onlineStore=fraud.online), view)
    with Writer(other.project, fraud.stores) as writer:
        writer.apply(compare("feast_transaction", define(other), Registered(), prune=True))
    with materializer(other.project, fraud.stores, fraud.root) as engine:
        (run,) = engine.run([Task("features", BEGINNING, NOON + dt.timedelta(hours=1), "hourly")])
    assert run.result == FAILED
    assert f"holds the view '{VIEW}' of the project 'feast'; give each project a keyspace of its own" in run.message
    rows = CassandraRows(other.project.spec.online_store.cassandra, Settings.from_env().cassandra, "feast_transaction")
    rows.drop("features")
    assert list(rows.entities("features")) == []
    rows.close()
    assert fraud.tables() == [f"feast_{VIEW}"]
    with fraud.server.session() as session:
        assert len(session.execute(f'SELECT * FROM {KEYSPACE}."feast_{VIEW}"').all()) >= len(AMOUNTS)


def test_a_feature_that_comes_back_in_the_middle_keeps_what_is_left(
    copied: Run, fraud: Fraud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever registers it is let in between two batches."""
    monkeypatch.setattr("featureplane.materialization.purge_cassandra._PAGE", 1)
    fraud.register(*objects(fraud.online, "amount"))
    (purged,) = fraud.purge(pause=lambda _: fraud.register(*objects(fraud.online)))
    assert (purged.kept, purged.rows) == (("score",), 1)
    with fraud.server.session() as session:
        rows = session.execute(f'SELECT feature_name FROM {KEYSPACE}."feast_{VIEW}"').all()
    left = [row.feature_name for row in rows]
    assert left.count("score") == left.count("amount") - 1


def test_a_removed_feature_loses_its_rows(copied: Run, fraud: Fraud) -> None:
    fraud.register(*objects(fraud.online, "amount"))
    (purged,) = fraud.purge()
    assert (purged.view, purged.purged, purged.rows >= len(AMOUNTS)) == (VIEW, ("score",), True)
    with fraud.server.session() as session:
        rows = session.execute(f'SELECT feature_name, entity_key FROM {KEYSPACE}."feast_{VIEW}"').all()
    assert {row.feature_name for row in rows} == {"amount"}


def test_a_deleted_view_loses_its_table(copied: Run, fraud: Fraud) -> None:
    fraud.register(a_project(onlineStore=fraud.online, purgeAfter="1s"))
    (purged,) = fraud.purge()
    assert "*" in purged.purged
    assert fraud.tables() == []


def test_a_view_that_comes_back_is_written_by_the_process_that_wrote_it_before(copied: Run, fraud: Fraud) -> None:
    there, gone = objects(fraud.online), [a_project(onlineStore=fraud.online, purgeAfter="1s")]
    task = Task(VIEW, BEGINNING, NOON + dt.timedelta(hours=1), "hourly")
    with materializer(fraud.project(*there), fraud.stores, fraud.root) as engine:
        fraud.register(*there)
        runs = engine.run([task])
        fraud.register(*gone)
        fraud.purge()
        assert fraud.tables() == []
        fraud.register(*there)
        runs += engine.run([task])
    assert [(run.result, run.message, run.rows_written) for run in runs] == [(SUCCEEDED, "", len(AMOUNTS))] * 2
    assert fraud.tables() == [f"feast_{VIEW}"]
