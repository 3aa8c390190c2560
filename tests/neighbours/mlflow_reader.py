"""A program for MLflow's environment: what the newest run logged, and what its model says and predicts, as JSON."""

import json
import sys

import mlflow
import pandas as pd


def main():
    (run,) = mlflow.search_runs(experiment_names=["price-forecast"], output_format="list")
    (version,) = mlflow.search_model_versions(filter_string="name = 'price-forecast'")
    uri = f"models:/price-forecast/{version.version}"
    rows = pd.read_parquet(sys.argv[1])
    model = mlflow.pyfunc.load_model(uri)
    columns = model.metadata.get_input_schema().input_names()
    (data,) = run.inputs.dataset_inputs
    found = {
        "tags": {name: value for name, value in run.data.tags.items() if name.startswith("features.")},
        "metrics": run.data.metrics,
        "metadata": mlflow.models.get_model_info(uri).metadata,
        "columns": columns,
        "forecast": model.predict(rows[columns].head(1)).tolist(),
        "price": rows["current_price"].head(1).tolist(),
        "dataset": data.dataset.name,
        "record": mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/features/training-set.json"),
    }
    found["definitions"] = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/features/definitions.json")
    print(json.dumps(found))  # noqa: T201 - that is what it is for


main()
