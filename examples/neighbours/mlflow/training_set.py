"""A training set by Feast's SDK, and beside it from which definitions: in Featureplane's environment, not MLflow's.

    python training_set.py price_forecast_v1 --repo .featureplane/feature_repo --entities labels.parquet \
        --out training.parquet

Writes training.parquet, and training.parquet.json with what was asked and the digests of the definitions.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from feast import FeatureService, FeatureStore
from featureplane.rendering.definitions import Definition


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a training set and from which definitions it is.")
    parser.add_argument("service")
    parser.add_argument("--repo", type=Path, required=True, help="a rendered Feast repo")
    parser.add_argument("--entities", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    store = FeatureStore(repo_path=str(wanted.repo))
    service = store.get_feature_service(wanted.service)
    rows = store.get_historical_features(pd.read_parquet(wanted.entities), service).to_df()
    rows.to_parquet(wanted.out, index=False)
    Path(f"{wanted.out}.json").write_text(json.dumps(record(wanted.repo, service), indent=2))


def record(repo: Path, service: FeatureService) -> dict[str, Any]:
    """What was asked; and of all that it is made of the digest by which the registry tells definitions apart."""
    rendered = json.loads((repo / "definitions.json").read_text())
    specs = {(item["kind"], item["spec"]["name"]): item["spec"] for item in rendered["definitions"]}
    return {
        "project": rendered["project"],
        "feature_service": service.name,
        "features": {
            feature.name: f"{view.name}:{feature.name}"
            for view in service.feature_view_projections
            for feature in view.features
        },
        "definitions": {
            f"{kind}/{name}": Definition(kind, name, specs[kind, name]).spec_digest
            for kind, name in needed(service, specs)
        },
    }


def needed(service: FeatureService, specs: dict[Any, Any]) -> Iterator[tuple[Any, str]]:
    yield "feature_service", service.name
    for projection in service.feature_view_projections:
        view = specs["feature_view", projection.name]
        yield "feature_view", projection.name
        yield "data_source", view["source"]
        yield from (("entity", entity["name"]) for entity in view["entities"])


if __name__ == "__main__":
    main()
