"""Trains a small model and logs with it which features it was trained on.

    python train.py training.parquet --definitions ../../../.featureplane/feature_repo/definitions.json

The record that `featureplane training-set` writes beside the training set says which. It stays with the model wherever
it goes: it stands in its MLmodel file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_percentage_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TIME, LABEL = "event_timestamp", "price_in_24h"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the model and log it.")
    parser.add_argument("training_set", type=Path, help="a Parquet file, with its record beside it")
    parser.add_argument("--definitions", type=Path, required=True, help="the definitions.json of a rendered repo")
    wanted = parser.parse_args()
    record = json.loads(Path(f"{wanted.training_set}.json").read_text())
    rows = pd.read_parquet(wanted.training_set).dropna()
    mlflow.set_experiment("price-forecast")
    with mlflow.start_run():
        mlflow.set_tags(provenance(record))
        mlflow.log_dict(record, "features/training-set.json")
        mlflow.log_artifact(str(wanted.definitions), "features")
        source = mlflow.data.from_pandas(
            rows, source=str(wanted.training_set), name=record["feature_service"], targets=LABEL
        )
        mlflow.log_input(source, context="training")
        train(rows, record)


def provenance(record: dict[str, Any]) -> dict[str, str]:
    """The project, the feature service, and the digest of each definition under its kind and name."""
    digests = {f"features.{name.replace('/', '.')}": digest for name, digest in record["definitions"].items()}
    return {"features.project": record["project"], "features.service": record["feature_service"], **digests}


def train(rows: pd.DataFrame, record: dict[str, Any]) -> None:
    """On the first three quarters of the time; the last is for measuring."""
    features = list(record["features"])
    earlier = rows[TIME] < rows[TIME].quantile(0.75)
    model = make_pipeline(StandardScaler(), Ridge(alpha=0.1))
    model.fit(rows.loc[earlier, features], rows.loc[earlier, LABEL])
    held_out = rows.loc[~earlier]
    forecast = model.predict(held_out[features])
    mlflow.log_metrics(
        {
            "mape": mean_absolute_percentage_error(held_out[LABEL], forecast),
            "mape_of_no_change": mean_absolute_percentage_error(held_out[LABEL], held_out["current_price"]),
        }
    )
    mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(held_out[features], forecast),
        metadata=provenance(record),
        registered_model_name="price-forecast",
    )


if __name__ == "__main__":
    main()
