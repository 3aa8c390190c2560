"""`featureplane doctor` over several projects: each is looked at as if it were alone."""

import json

from factories import a_feature_view, a_project, to_yaml
from ports import free_port

NOBODYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}


def on_objects(name, **s3):
    root = {"uri": f"s3://{name}/features", **({"s3": s3} if s3 else {})}
    view = a_feature_view(f"{name}-prices", projectRef={"name": name})
    return [a_project(name, project=name, offlineStore={"dataRoot": root}), view]


def test_no_project_is_looked_for_in_the_store_of_the_one_before(place):
    its, everybodys = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    objects = [*on_objects("one", endpoint=its), *on_objects("other")]
    (place.folder / "features.yaml").write_text(to_yaml(*objects))
    ran = place("doctor", "features.yaml", "--json", env={**NOBODYS, "AWS_ENDPOINT_URL": everybodys})
    found = {item["what"]: item["detail"] for item in json.loads(ran.out)}
    assert ran.status == 2
    assert f"{its} does not answer" in found["source one_prices_source"]
    assert f"{everybodys} does not answer" in found["source other_prices_source"]
