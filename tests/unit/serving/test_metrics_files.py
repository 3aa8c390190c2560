"""Metrics of several processes, in the folder that they share. The mode is chosen on import, so each is a process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from featureplane.serving.metrics_files import FOLDER, forget

START = "import json, os, sys; from pathlib import Path; from featureplane.serving import metrics; "


def run(folder: Path, code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", START + code], env={FOLDER: str(folder), "PYTHONPATH": ":".join(sys.path)},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


@pytest.fixture
def exposed(tmp_path):
    def lines(**ages: float) -> list[str]:
        code = f"sys.stdout.write(metrics.exposition(Path({str(tmp_path)!r}), 'shop', {list(ages.items())!r}).decode())"
        return run(tmp_path, code).splitlines()

    return lines


def test_the_newest_of_what_any_process_was_sent_counts(tmp_path):
    for time in (10.0, 30.0, 20.0):
        run(tmp_path, f"metrics.note_written('prices', {time}); metrics.note_written('prices', 5.0)")
    found = run(tmp_path, f"print(json.dumps(metrics.written(Path({str(tmp_path)!r}))))")
    assert json.loads(found) == {"prices": 30.0}


def test_counters_of_the_reference_deployment_have_its_names_and_others_prometheus(tmp_path, exposed):
    counted = "metrics.ASKED.labels('prices').inc(3); metrics.MISSING.labels('prices').inc(2); metrics.RETRIEVALS.inc()"
    run(tmp_path, counted)
    lines = exposed()
    assert 'feast_feature_request_count{feature_view="prices"} 3.0' in lines
    assert 'feast_feature_not_found_count{feature_view="prices"} 2.0' in lines
    assert "feast_online_features_request_total 1.0" in lines


def test_freshness_has_the_labels_of_feasts(exposed):
    assert 'feast_feature_freshness_seconds{feature_view="prices",project="shop"} 12.5' in exposed(prices=12.5)


def test_of_a_process_that_ended_counts_stay_and_its_state_goes(tmp_path, exposed):
    code = "metrics.WORKERS.set(1); metrics.STARTS.inc(); print(os.getpid())"
    first, _ = int(run(tmp_path, code)), run(tmp_path, code)
    assert "featureplane_server_workers 2.0" in exposed()
    forget(tmp_path, first)
    lines = exposed()
    assert "featureplane_server_workers 1.0" in lines
    assert "featureplane_server_worker_starts_total 2.0" in lines
