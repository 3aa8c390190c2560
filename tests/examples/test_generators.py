"""The examples' files are valid, and their generators write what the files promise."""

import importlib.util
import math
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featureplane.model.declarations import declare
from featureplane.model.documents import read_documents

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = datetime(2026, 3, 4, 10, 37, 12, tzinfo=UTC)  # a Wednesday, in trading hours
SEED = 254
# By the folder of each project. A generator writes for all projects below its own folder.
VIEWS = {
    "commodity": {
        "commodity_price_features": ("commodity_prices.parquet", "commodity_code", "hourly"),
        "economic_features": ("economic_indicators.parquet", "country", "daily"),
        "weather_features": ("weather.parquet", "region", "hourly"),
    },
    "timetable": {
        "ocr_features": ("ocr.parquet", "document", "hourly"),
        "document_features": ("documents.parquet", "document", "hourly"),
        "timetable_features": ("timetables.parquet", "document", "hourly"),
    },
    "products": {
        "product_features": ("products.parquet", "product_id", "hourly"),
        "product_embeddings": ("embeddings.parquet", "product_id", "daily"),
    },
    "model-platform/model-a": {
        "customer_profile": ("profiles.parquet", "customer_id", "daily"),
        "customer_activity": ("activity.parquet", "customer_id", "hourly"),
    },
    "model-platform/model-b": {
        "customer_profile": ("profiles.parquet", "customer_id", "daily"),
        "customer_payments": ("payments.parquet", "customer_id", "daily"),
    },
    "fraud": {"transaction_features": ("transactions.parquet", "transaction_id", "hourly")},
}
# What a model is trained to say, and the projects that have it beside their rows.
LABELS = {"model-platform/model-a": "churned", "model-platform/model-b": "defaulted", "fraud": "is_fraud"}
GENERATORS = list(dict.fromkeys(example.partition("/")[0] for example in VIEWS))
EVERY_VIEW = [(example, view) for example, views in VIEWS.items() for view in views]
ARROW = {
    "String": pa.string(),
    "Bytes": pa.binary(),
    "Bool": pa.bool_(),
    "Int64": pa.int64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "UnixTimestamp": pa.timestamp("us", tz="UTC"),
    "Array(Float32)": pa.list_(pa.float32()),
}


def declared(example):
    documents, problems = [], []
    for path in sorted((EXAMPLES / example).glob("*.yaml")):
        found, wrong = read_documents(path.read_text(), path.name)
        documents, problems = documents + found, problems + wrong
    declarations, wrong = declare(documents)
    assert problems + wrong == []
    (project,) = declarations
    return project


def generator(example):
    name = example.partition("/")[0]
    spec = importlib.util.spec_from_file_location(f"generate_{name}", EXAMPLES / name / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def projects():
    return {example: declared(example) for example in VIEWS}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of each example's files, of one seed and one time."""
    folders = {name: tmp_path_factory.mktemp(name) for name in GENERATORS}
    for name, folder in folders.items():
        generator(name).generate(folder, SEED, NOW)
    return {example: below(folders[example.partition("/")[0]], example) for example in VIEWS}


def projects_of(name):
    return [example for example in VIEWS if example.partition("/")[0] == name]


def below(folder, example):
    """The folder of one project's files in what its generator wrote."""
    return folder / example.partition("/")[2]


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.fixture(scope="module")
def tables(projects, written):
    """The table of each view, by its example and its name in Feast."""
    return {
        (example, view.feast_name): pq.read_table(written[example] / view.spec.source.file.path)
        for example in VIEWS
        for view in projects[example].views
    }


def series(table, key, entity):
    """Columns of one entity, oldest first."""
    rows = sorted((row for row in table.to_pylist() if row[key] == entity), key=lambda row: row["event_timestamp"])
    return {name: [row[name] for row in rows] for name in table.column_names}


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", VIEWS)
def test_every_view_reads_its_own_file_by_its_join_key_on_its_schedule(projects, example):
    found = {
        view.feast_name: (view.spec.source.file.path, view.spec.entities[0].key, view.spec.materialization.schedule)
        for view in projects[example].views
    }
    assert found == VIEWS[example]


def test_the_commodity_project_is_the_reference_deployment(projects):
    project = projects["commodity"].project
    assert (project.metadata.namespace, project.metadata.name, project.spec.project) == (
        "data-platform",
        "feast",
        "254carbon",
    )
    schedules = {name: (str(item.cron), item.window) for name, item in project.spec.schedules.items()}
    assert schedules == {"hourly": ("5 * * * *", timedelta(hours=2)), "daily": ("0 2 * * *", timedelta(days=7))}
    assert project.spec.offline_store.data_root.uri == "s3://lake/features"


def test_the_timetable_views_live_as_long_as_promised_and_are_pushed(projects):
    found = {view.feast_name: (view.spec.ttl.days, view.spec.push.enabled) for view in projects["timetable"].views}
    assert found == {"ocr_features": (365, True), "document_features": (365, True), "timetable_features": (180, True)}


@pytest.mark.parametrize("example", VIEWS)
def test_everything_has_an_owner_and_every_feature_a_description(projects, example):
    project = projects[example]
    assert all(
        item.spec.owner and item.spec.description and item.spec.tags
        for item in (project.project, *project.views, *project.services)
    )
    assert all(feature.description for view in project.views for feature in view.spec.features)
    entities = defaultdict(str)
    for view in project.views:
        for entity in view.spec.entities:
            entities[entity.name] += entity.description
    assert all(entities.values())


# --- what any generator promises --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATORS)
def test_another_process_with_the_same_seed_and_time_writes_the_same_bytes(written, name, tmp_path):
    script = EXAMPLES / name / "generate.py"
    arguments = ["--out", tmp_path / "new" / "folder", "--seed", str(SEED), "--now", "2026-03-04T11:37:12+01:00"]
    subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, timeout=60)
    for example in projects_of(name):
        theirs = files_of(below(tmp_path / "new" / "folder", example))
        assert theirs == files_of(written[example])
        labels = {"labels.parquet"} if example in LABELS else set()
        assert set(theirs) == {file for file, _, _ in VIEWS[example].values()} | labels


@pytest.mark.parametrize("name", GENERATORS)
def test_another_seed_writes_other_values(written, name, tmp_path):
    generator(name).generate(tmp_path, SEED + 1, NOW)
    for example in projects_of(name):
        theirs = files_of(below(tmp_path, example))
        assert all(text != theirs[file] for file, text in files_of(written[example]).items())


@pytest.mark.parametrize(
    "now", ["2026-03-01T00:00:00", "2026-02-28T00:30:00Z", "2028-02-29T23:59:59.999999Z", "2026-07-05T12:04:00+02:00"]
)
@pytest.mark.parametrize("name", GENERATORS)
def test_at_any_time_of_day_and_week_the_newest_row_is_in_its_window_and_none_is_of_the_future(
    projects, name, now, tmp_path
):
    module = generator(name)
    moment = module.instant(now)
    module.generate(tmp_path, SEED, moment)
    for example in projects_of(name):
        for view in projects[example].views:
            table = pq.read_table(below(tmp_path, example) / view.spec.source.file.path)
            window = projects[example].project.spec.schedules[view.spec.materialization.schedule].window
            assert moment - window < max(table[view.spec.source.timestamp_field].to_pylist()) < moment
            assert max(table["created"].to_pylist()) <= moment


@pytest.mark.parametrize(("example", "view"), EVERY_VIEW)
def test_the_columns_are_those_of_the_view_with_arrow_types_that_fit(projects, tables, example, view):
    (spec,) = (item.spec for item in projects[example].views if item.feast_name == view)
    timestamp = pa.timestamp("us", tz="UTC")
    expected = {
        spec.source.timestamp_field: timestamp,
        spec.source.created_timestamp_column: timestamp,
        **{entity.key: ARROW[str(entity.type)] for entity in spec.entities},
        **{feature.name: ARROW[str(feature.type)] for feature in spec.features},
    }
    assert dict(zip(tables[example, view].schema.names, tables[example, view].schema.types, strict=True)) == expected


@pytest.mark.parametrize(("example", "view"), EVERY_VIEW)
def test_every_value_passes_the_checks_of_its_feature(projects, tables, example, view):
    (spec,) = (item.spec for item in projects[example].views if item.feast_name == view)
    assert any(feature.checks for feature in spec.features)
    for feature in spec.features:
        column = tables[example, view][feature.name].to_pylist()
        values = [value for value in column if value is not None]
        if feature.checks is None:
            continue
        checks = feature.checks
        assert not (checks.not_null and len(values) < len(column)), feature.name
        assert 1 - len(values) / len(column) <= (1 if checks.max_null_fraction is None else checks.max_null_fraction), (
            feature.name
        )
        if checks.minimum is not None or checks.maximum is not None:
            least = -math.inf if checks.minimum is None else checks.minimum
            most = math.inf if checks.maximum is None else checks.maximum
            assert all(least <= value <= most for value in values), feature.name
        assert checks.in_ is None or set(values) <= set(checks.in_), feature.name
        assert checks.length is None or {len(value) for value in values} == {checks.length}, feature.name
        assert checks.pattern is None or all(re.search(checks.pattern, value) for value in values), feature.name


@pytest.mark.parametrize(("example", "view"), EVERY_VIEW)
def test_no_entity_has_two_rows_of_one_time_and_rows_are_written_after_their_event(projects, tables, example, view):
    key = VIEWS[example][view][1]
    (event,) = (item.spec.source.timestamp_field for item in projects[example].views if item.feast_name == view)
    rows = tables[example, view].select([key, event, "created"]).to_pylist()
    assert len({(row[key], row[event]) for row in rows}) == len(rows)
    assert all(timedelta(0) < row["created"] - row[event] < timedelta(minutes=90) for row in rows)


@pytest.mark.parametrize("example", LABELS)
def test_each_label_belongs_to_a_moment_at_which_every_view_had_a_row_of_its_entity(projects, tables, written, example):
    labels = pq.read_table(written[example] / "labels.parquet").to_pylist()
    assert {row[LABELS[example]] for row in labels} == {True, False}
    assert all(row["event_timestamp"] < NOW - timedelta(days=7) for row in labels)
    for view in projects[example].views:
        key, event = VIEWS[example][view.feast_name][1], view.spec.source.timestamp_field
        times = defaultdict(list)
        for row in tables[example, view.feast_name].select([key, event]).to_pylist():
            times[row[key]].append(row[event])
        for row in labels:
            asked = row["event_timestamp"]
            assert any(asked - view.spec.ttl <= time <= asked for time in times[row[key]]), row


# --- markets, economies and weather -----------------------------------------------------------------------------------


def test_prices_reach_over_the_longest_window_and_end_a_few_minutes_ago(tables):
    times = tables["commodity", "commodity_price_features"]["event_timestamp"].to_pylist()
    assert NOW - max(times) < timedelta(minutes=7)
    assert NOW - min(times) > timedelta(days=7)


@pytest.mark.parametrize("commodity", ["crude_oil_wti", "natural_gas", "gold", "corn"])
def test_indicators_follow_from_the_prices_of_the_rows_before(tables, commodity):
    rows = series(tables["commodity", "commodity_price_features"], "commodity_code", commodity)
    prices = rows["current_price"]
    for last in (len(prices) - 1, len(prices) - 10):
        assert rows["ma_7d"][last] == pytest.approx(sum(prices[last - 167 : last + 1]) / 168, abs=1e-5)
        assert rows["price_change_1h"][last] == pytest.approx(100 * (prices[last] / prices[last - 1] - 1), abs=1e-5)
        assert rows["price_change_24h"][last] == pytest.approx(100 * (prices[last] / prices[last - 24] - 1), abs=1e-5)


def test_indicators_of_a_longer_past_follow_from_the_simulated_path(tables):
    module = generator("commodity")
    row = {
        name: values[-1]
        for name, values in series(tables["commodity", "commodity_price_features"], "commodity_code", "brent").items()
    }
    ticks = (8 + 30) * 288
    times = int(row["event_timestamp"].timestamp()) - 300 * module.np.arange(ticks, -1, -1)
    path = [float(price) for price in module.simulate_prices(SEED, times)[list(module.COMMODITIES).index("brent")]]
    assert path[-1] == row["current_price"]
    assert row["ma_30d"] == pytest.approx(sum(path[-1 - 12 * hour] for hour in range(720)) / 720, abs=1e-5)
    squares = sum(math.log(path[-1 - i] / path[-2 - i]) ** 2 for i in range(7 * 288))
    assert row["volatility_7d"] == pytest.approx(100 * math.sqrt(squares * 365 / 7), abs=1e-5)
    changes = [path[-1 - 288 * day] - path[-1 - 288 * (day + 1)] for day in range(14)]
    gains, losses = sum(c for c in changes if c > 0), -sum(c for c in changes if c < 0)
    assert row["rsi_14d"] == pytest.approx(100 - 100 / (1 + gains / losses), abs=1e-5)


def test_levels_and_volatilities_are_those_of_their_commodity(tables):
    module = generator("commodity")
    for row in tables["commodity", "commodity_price_features"].to_pylist():
        commodity = module.COMMODITIES[row["commodity_code"]]
        assert row["current_price"] == pytest.approx(commodity.price, rel=0.5)
        assert row["volatility_7d"] == pytest.approx(100 * commodity.volatility, rel=0.4)
        assert row["volume_24h"] <= 2 * commodity.contracts


def test_markets_stand_still_on_saturday_and_move_on_monday(tables):
    rows = series(tables["commodity", "commodity_price_features"], "commodity_code", "gold")
    changes = defaultdict(set)
    for time, change in zip(rows["event_timestamp"], rows["price_change_1h"], strict=True):
        changes[time.weekday()].add(change)
    assert changes[5] == {0.0}
    assert len(changes[0]) > 20


def test_the_two_crude_oils_move_together_and_oil_and_gold_do_not(tables):
    module = generator("commodity")
    table = tables["commodity", "commodity_price_features"]
    moves = [series(table, "commodity_code", code)["price_change_1h"] for code in ("crude_oil_wti", "brent", "gold")]
    correlation = module.np.corrcoef(moves)
    assert correlation[0, 1] > 0.9
    assert abs(correlation[0, 2]) < 0.3


@pytest.mark.parametrize("view", VIEWS["commodity"])
def test_entities_differ_and_each_changes_over_time(tables, view):
    key = VIEWS["commodity"][view][1]
    latest, histories = defaultdict(list), defaultdict(set)
    for row in tables["commodity", view].to_pylist():
        values = tuple(value for name, value in row.items() if name not in {key, "event_timestamp", "created"})
        latest[row["event_timestamp"]].append(values)
        histories[row[key]].add(values)
    assert len(histories) >= 10
    newest = latest[max(latest)]
    assert len(set(newest)) == len(newest) == len(histories)
    assert all(len(values) > 3 for values in histories.values())


def test_countries_of_one_central_bank_share_its_rate(tables):
    table = tables["commodity", "economic_features"]
    assert series(table, "country", "DE")["interest_rate"] == series(table, "country", "FR")["interest_rate"]
    assert series(table, "country", "AU")["industrial_production"] == [None] * 120


def test_afternoons_are_warmer_than_nights_and_july_than_january_in_the_north(tables, tmp_path):
    module = generator("commodity")
    rows = series(tables["commodity", "weather_features"], "region", "us_midwest")  # UTC-6
    by_hour = defaultdict(list)
    for time, temperature in zip(rows["event_timestamp"], rows["temperature_avg"], strict=True):
        by_hour[time.hour].append(temperature)
    assert sum(by_hour[21]) > sum(by_hour[11])
    module.generate(tmp_path, SEED, datetime(2026, 7, 20, tzinfo=UTC))
    july = series(pq.read_table(tmp_path / "weather.parquet"), "region", "us_midwest")["temperature_avg"]
    assert sum(july) / len(july) > 10 + sum(rows["temperature_avg"]) / len(rows["temperature_avg"])


def test_it_rains_in_some_hours_and_storms_are_where_wind_and_rain_are(tables):
    rows = tables["commodity", "weather_features"].to_pylist()
    assert 0.02 < sum(row["precipitation"] > 0 for row in rows) / len(rows) < 0.3
    fierce, calm = max(rows, key=lambda row: row["storm_index"]), min(rows, key=lambda row: row["storm_index"])
    assert fierce["wind_speed"] + fierce["precipitation"] > 10 > calm["wind_speed"] + calm["precipitation"]


# --- timetables -------------------------------------------------------------------------------------------------------


def test_the_three_steps_wrote_the_same_scans_one_after_the_other(tables):
    steps = [
        tables["timetable", view].to_pylist() for view in ("document_features", "ocr_features", "timetable_features")
    ]
    for seen, read, understood in zip(*steps, strict=True):
        assert seen["document"] == read["document"] == understood["document"]
        assert seen["event_timestamp"] < read["event_timestamp"] < understood["event_timestamp"]


def test_counts_follow_from_the_text(tables):
    for row in tables["timetable", "ocr_features"].to_pylist():
        assert row["word_count"] == len(row["text"].split())
        assert row["time_pattern_count"] == len(re.findall(r"\b(?:[01]?[0-9]|2[0-3]):[0-5][0-9]\b", row["text"]))


def test_patterns_and_subjects_hang_together_with_the_kind_of_document(tables):
    rows = zip(
        tables["timetable", "document_features"].to_pylist(),
        tables["timetable", "timetable_features"].to_pylist(),
        strict=True,
    )
    scores, subjects = defaultdict(list), defaultdict(set)
    for document, timetable in rows:
        scores[document["document_type"]].append(timetable["timetable_pattern_score"])
        subjects[document["document_type"]].add(timetable["subject_classification"])
    means = {kind: sum(values) / len(values) for kind, values in scores.items()}
    assert set(means) == {"class_timetable", "exam_timetable", "bus_timetable", "letter"}
    assert means.pop("letter") < 0.4
    assert min(means.values()) > 0.7
    assert subjects["letter"] == {"none"}
    assert {"mathematics", "science", "languages"} <= subjects["class_timetable"]


def test_a_poor_scan_is_enhanced_and_read_with_less_confidence(tables):
    rows = list(
        zip(
            tables["timetable", "document_features"].to_pylist(),
            tables["timetable", "ocr_features"].to_pylist(),
            strict=True,
        )
    )
    confidence = defaultdict(list)
    for document, ocr in rows:
        confidence[document["preprocessing_applied"]].append(ocr["confidence"])
    assert sum(confidence[True]) / len(confidence[True]) < sum(confidence[False]) / len(confidence[False])


def test_embeddings_are_unit_vectors_and_pages_of_one_kind_are_alike(tables):
    np = generator("timetable").np
    rows = tables["timetable", "document_features"].to_pylist()
    vectors = np.array([np.frombuffer(row["image_embedding"], "<f4") for row in rows])
    assert vectors.shape == (len(rows), 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    kinds = np.array([row["document_type"] for row in rows])
    same = kinds[:, None] == kinds
    likeness = vectors @ vectors.T
    assert likeness[same].mean() > 0.5 > likeness[~same].mean()


def test_some_documents_were_scanned_twice_and_some_are_past_the_shorter_ttl_only(tables):
    newest, scans = {}, defaultdict(int)
    for row in tables["timetable", "timetable_features"].select(["document", "event_timestamp"]).to_pylist():
        newest[row["document"]] = max(newest.get(row["document"], row["event_timestamp"]), row["event_timestamp"])
        scans[row["document"]] += 1
    assert len(scans) == 360
    assert list(scans.values()).count(2) == 24
    old = [document for document, time in newest.items() if NOW - time > timedelta(days=180)]
    assert 15 <= len(old) <= 20
    assert all(NOW - time < timedelta(days=365) for time in newest.values())


# --- payments, products and customers ---------------------------------------------------------------------------------


def test_ten_thousand_payments_of_which_some_are_fraud_and_a_third_are_past_the_ttl(tables, written):
    rows = tables["fraud", "transaction_features"].to_pylist()
    assert len({row["transaction_id"] for row in rows}) == len(rows) == 10_000
    assert 0.25 < sum(NOW - row["timestamp"] > timedelta(days=30) for row in rows) / len(rows) < 0.45
    labels = pq.read_table(written["fraud"] / "labels.parquet")["is_fraud"].to_pylist()
    assert 0.01 < sum(labels) / len(labels) < 0.03


def test_frauds_are_large_and_far_away_from_devices_that_nobody_knows(tables, written):
    rows = {row["transaction_id"]: row for row in tables["fraud", "transaction_features"].to_pylist()}
    found = defaultdict(list)
    for label in pq.read_table(written["fraud"] / "labels.parquet").to_pylist():
        found[label["is_fraud"]].append(rows[label["transaction_id"]])

    def mean(fraud, feature):
        return sum(row[feature] for row in found[fraud]) / len(found[fraud])

    assert mean(True, "amount") > 2 * mean(False, "amount")
    assert mean(True, "distance_from_home_km") > 5 * mean(False, "distance_from_home_km")
    assert mean(True, "known_device") < 0.5 < mean(False, "known_device")
    assert mean(True, "transactions_24h") > mean(False, "transactions_24h")


def test_a_payments_hour_is_that_of_its_time_and_only_a_cards_first_has_no_one_before(tables):
    rows = tables["fraud", "transaction_features"].to_pylist()
    assert all(row["transaction_hour"] == row["timestamp"].hour for row in rows)
    assert all((row["amount_to_mean_30d"] is None) == (row["seconds_since_last"] is None) for row in rows)
    assert all(row["transactions_24h"] == 1 for row in rows if row["seconds_since_last"] is None)
    assert all(row["transactions_24h"] > 1 for row in rows if (row["seconds_since_last"] or math.inf) < 86_400)


def test_every_product_has_a_row_of_the_last_hour_and_an_embedding_of_the_last_day(tables):
    for view, ttl in (("product_features", timedelta(hours=1)), ("product_embeddings", timedelta(hours=24))):
        newest = {}
        for row in tables["products", view].select(["product_id", "event_timestamp"]).to_pylist():
            newest[row["product_id"]] = max(
                newest.get(row["product_id"], row["event_timestamp"]), row["event_timestamp"]
            )
        assert len(newest) == 400
        assert all(NOW - time < ttl - timedelta(minutes=30) for time in newest.values())


@pytest.mark.parametrize(("feature", "size"), [("text_embedding", 384), ("image_embedding", 512)])
def test_products_of_one_category_are_alike(tables, feature, size):
    np = generator("products").np
    categories = {row["product_id"]: row["category"] for row in tables["products", "product_features"].to_pylist()}
    rows = [row for row in tables["products", "product_embeddings"].to_pylist() if row[feature] is not None]
    vectors = np.array([row[feature] for row in rows])
    assert vectors.shape == (len(rows), size)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    kinds = np.array([categories[row["product_id"]] for row in rows])
    same = kinds[:, None] == kinds
    likeness = vectors @ vectors.T
    assert likeness[same].mean() > 0.5 > likeness[~same].mean()


def test_the_two_projects_of_the_model_platform_share_names_and_no_customer(projects, tables):
    a, b = (projects[f"model-platform/model-{model}"] for model in "ab")
    assert (a.project.spec.project, b.project.spec.project) == ("model_a_features", "model_b_features")
    assert a.project.metadata.namespace != b.project.metadata.namespace
    keys = [
        set(tables[f"model-platform/model-{model}", "customer_profile"]["customer_id"].to_pylist()) for model in "ab"
    ]
    assert {type(key) for key in keys[0]} == {str}
    assert {type(key) for key in keys[1]} == {int}


def test_who_watches_little_leaves(tables, written):
    newest = {row["customer_id"]: row for row in tables["model-platform/model-a", "customer_activity"].to_pylist()}
    sessions = defaultdict(list)
    for row in pq.read_table(written["model-platform/model-a"] / "labels.parquet").to_pylist():
        sessions[row["churned"]].append(newest[row["customer_id"]]["sessions_7d"])
    means = {churned: sum(values) / len(values) for churned, values in sessions.items()}
    assert means[True] < means[False]
