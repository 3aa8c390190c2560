"""A data root in an S3 store: copied and looked at by the commands as a user runs them, against moto's S3 server."""

import json
from pathlib import Path

import pytest

from cli.commands import Place, Ran
from data.objects.lake import files
from data.objects.moto_server import BUCKET, REGION, S3Server
from featureplane.errors import FeatureplaneError
from featureplane.object_store import delivered
from featureplane.plugins.s3 import lend_s3

OTHER_SECRET = "wJalrXUtnFEMI/K7MDENG"  # nobody's


def said(ran: Ran) -> str:
    return " ".join((ran.out + ran.err).split())


def materialized(place: Place, path: Path, *, status: int = 0) -> str:
    assert place("apply", path).status == 0
    ran = place("materialize", "--initial", path)
    assert ran.status == status, ran
    return said(ran)


def test_files_and_a_delta_table_reach_the_online_store(place: Place, server: S3Server) -> None:
    path = files(place, server.url)
    materialized(place, path)
    for view, entity, price in (("commodity_prices", "tin", "2.5"), ("table_prices", "silver", "4.5")):
        found = place("get-online-features", path, "-f", view, "-e", f"commodity={entity}")
        assert price in found.out


def test_doctor_looks_into_the_bucket(place: Place, server: S3Server) -> None:
    found = json.loads(place("doctor", files(place, server.url), "--json").out)
    details = {item["what"]: (item["state"], item["detail"]) for item in found if item["what"].startswith("source")}
    assert [detail.rpartition(": ")[2] for _, detail in details.values()] == ["2 files", "1 file"]
    assert {state for state, _ in details.values()} == {"ok"}


@pytest.mark.parametrize("command", ["materialize", "doctor"])
@pytest.mark.parametrize("key", [None, "AKIAIOSFODNN7EXAMPLE"])
def test_credentials_that_are_refused_are_said_by_the_secret_that_holds_them(
    place: Place, server: S3Server, key: str | None, command: str
) -> None:
    path = files(place, server.url)
    wrong = {"AWS_ACCESS_KEY_ID": key or server.key, "AWS_SECRET_ACCESS_KEY": OTHER_SECRET}
    other = Place(place.folder, wrong)
    assert other("apply", path).status == 0
    arguments = ["materialize", "--initial"] if command == "materialize" else [command, "--json"]
    words = said(other(*arguments, path))
    assert words.count("the Secret 'lake'") == 2, words
    assert words.count(f"{server.url} refuses") == 2, words
    for secret in (OTHER_SECRET, server.secret, server.key, "AKIAIOSFODNN7EXAMPLE"):
        assert secret not in words


def test_an_endpoint_that_does_not_answer_is_said_with_its_url(place: Place) -> None:
    words = materialized(place, files(place, "http://127.0.0.1:9"), status=1)
    assert words.count("http://127.0.0.1:9 does not answer") == 2, words


def test_a_bucket_that_is_not_there_is_said(place: Place, server: S3Server) -> None:
    words = materialized(place, files(place, server.url, "s3://ocean/features"), status=1)
    assert words.count(f"there is no bucket 'ocean' at {server.url}") == 2, words


def test_an_object_that_is_not_there_is_said(place: Place, server: S3Server) -> None:
    words = materialized(place, files(place, server.url, f"s3://{BUCKET}/nothing"), status=1)
    assert f"there is nothing at s3://{BUCKET}/nothing/prices/*.parquet" in words
    assert f"there is no Delta table at s3://{BUCKET}/nothing/table" in words


@pytest.fixture
def environment(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {"AWS_ENDPOINT_URL": server.url, "AWS_REGION": REGION, **server.credentials}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_feasts_own_engine_reads_the_store(server: S3Server, environment: pytest.MonkeyPatch) -> None:
    import dask.dataframe

    lend_s3()
    for path in ("prices", "prices/*.parquet"):
        found = dask.dataframe.read_parquet(f"s3://{BUCKET}/features/{path}").compute()
        assert sorted(found["commodity"]) == ["gold", "tin"]


def test_a_file_is_delivered_whole(server: S3Server, environment: pytest.MonkeyPatch) -> None:
    address = f"s3://{BUCKET}/out/set.csv"
    with delivered(address) as path:
        path.write_text("a,b\n")
        assert path.name == "set.csv"
        assert server.content(address) is None
    assert server.content(address) == b"a,b\n"


def test_a_file_that_broke_off_is_not_delivered(server: S3Server, environment: pytest.MonkeyPatch) -> None:
    address = f"s3://{BUCKET}/out/half.csv"

    def write_half() -> None:
        with delivered(address) as path:
            path.write_text("a")
            raise KeyError("half")

    with pytest.raises(KeyError):
        write_half()
    assert server.content(address) is None


def test_a_bucket_that_cannot_be_written_to_is_said(server: S3Server, environment: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(FeatureplaneError, match="cannot be written: there is no bucket 'ocean'"),
        delivered("s3://ocean/set.csv") as path,
    ):
        path.write_text("a")
    environment.setenv("AWS_SECRET_ACCESS_KEY", OTHER_SECRET)
    with (
        pytest.raises(FeatureplaneError, match="refuses the environment's credentials"),
        delivered(f"s3://{BUCKET}/out/refused.csv") as path,
    ):
        path.write_text("a")
    assert server.content(f"s3://{BUCKET}/out/refused.csv") is None
