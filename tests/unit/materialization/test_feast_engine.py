import pytest

from factories import project_model
from featureplane.errors import FeatureplaneError
from featureplane.materialization import feast_engine
from featureplane.rendering.repo import feature_store


def test_a_project_on_spark_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(feast_engine, "find_spec", lambda _: None)
    project = project_model(batchEngine={"type": "spark.engine"})
    with pytest.raises(FeatureplaneError, match=r"no pyspark here; pip install featureplane\[spark\]"):
        feast_engine.Engine({"feature_store": feature_store(project), "repo_path": "."})
