import itertools

import pytest

from factories import (
    a_feature,
    a_feature_view,
    a_postgres_source,
    a_project,
    a_service,
    a_source,
    a_spark_project,
    a_spark_source,
    an_entity,
    declared,
    documents,
    problems_of,
    to_yaml,
)
from featureplane.model.declarations import declare, only_project, with_data_root
from featureplane.model.documents import Document, read_documents
from featureplane.model.together import Declared
from featureplane.names import API_VERSION


def views_of(project):
    return [view.feast_name for view in project.views]


# Which objects there are


def test_without_a_project_the_default_one_is_assumed():
    (project,) = declared(a_feature_view(), a_service())
    assert project.project.key == ("default", "feast")
    assert project.project.spec.project == "feast"
    assert views_of(project) == ["commodity_prices"]
    assert [service.feast_name for service in project.services] == ["price_model"]


def test_the_default_project_is_assumed_in_each_namespace():
    projects = declared(a_feature_view(namespace="a"), a_feature_view(namespace="b"))
    assert [project.project.key for project in projects] == [("a", "feast"), ("b", "feast")]


def test_each_view_belongs_to_the_project_that_it_refers_to():
    one, two = declared(
        a_project("one", project="p1", namespace="x", allowedNamespaces=["y"]),
        a_project("two", project="p2", namespace="x"),
        a_feature_view("b", namespace="y", projectRef={"name": "one", "namespace": "x"}),
        a_feature_view("a", namespace="x", projectRef={"name": "one"}),
        a_feature_view("a-too", namespace="x", projectRef={"name": "two"}),
    )
    assert (views_of(one), views_of(two)) == (["a", "b"], ["a_too"])


def test_a_project_without_views_is_a_project():
    (project,) = declared(a_project())
    assert (project.views, project.services) == ((), ())


def test_nothing_is_no_project():
    assert declare([]) == ([], [])


def test_the_order_of_the_documents_does_not_matter():
    objects = [a_project(), a_feature_view("b"), a_feature_view("a"), a_service(views=[{"name": "a"}])]
    results = [declared(*order) for order in itertools.permutations(objects)]
    assert all(result[0].views == results[0][0].views for result in results)


def test_a_list_as_kubectl_prints_it():
    (project,) = declared({"apiVersion": "v1", "kind": "List", "items": [a_feature_view(), a_project()]})
    assert views_of(project) == ["commodity_prices"]


def test_a_problem_that_is_found_later_still_has_the_views_file_and_line():
    (project,) = declared(a_feature_view("b"), a_feature_view("a"))
    problem = project.declared(project.views[1]).problem(("spec", "source", "file"), "is not there")
    assert str(problem) == "features.yaml:12: spec.source.file: is not there"
    assert str(project.declared(project.views[0])) == "default/a (features.yaml:16)"


def test_a_view_of_a_cluster_has_no_place():
    (project,), _ = declare([Document("", a_feature_view("a"), {})])
    found = project.declared(project.views[0])
    assert (str(found), str(found.problem(("spec",), "is x"))) == ("default/a", "spec: is x")
    bare = Declared(project.views[0])
    assert (str(bare), str(bare.problem(("spec",), "is x"))) == ("default/a", "spec: is x")


IN_CASSANDRA = {"cassandra": {"hosts": ["cassandra"], "keyspace": "markets"}}


@pytest.mark.parametrize(
    "item",
    [
        {"apiVersion": "v1", "kind": "Secret", "metadata": 7},
        {"apiVersion": "feast.dev/v1", "kind": "FeatureStore"},
        {"apiVersion": "apps/v1", "kind": "Deployment"},
    ],
)
def test_objects_of_other_groups_are_passed_over(item):
    assert views_of(declared(item, a_feature_view())[0]) == ["commodity_prices"]


START = f"start with apiVersion: {API_VERSION} and kind: FeatureView"


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ([a_feature_view()], "is not an object; start with apiVersion, kind, metadata and spec"),
        ("text", "is not an object; start with apiVersion, kind, metadata and spec"),
        (7, "is not an object; start with apiVersion, kind, metadata and spec"),
        ({"spec": {}}, f"has no apiVersion or no kind; {START}"),
        ({"kind": "FeatureView"}, f"has no apiVersion or no kind; {START}"),
        ({"apiVersion": 1, "kind": "FeatureView"}, f"has no apiVersion or no kind; {START}"),
        (
            {"apiVersion": "featureplane.dev/v1", "kind": "FeatureView"},
            f"apiVersion: 'featureplane.dev/v1' is not known; write {API_VERSION}",
        ),
        (
            {"apiVersion": "feast.dev/v1", "kind": "FeatureView"},
            f"apiVersion: 'feast.dev/v1' is not known; write {API_VERSION}",
        ),
        (
            {"apiVersion": API_VERSION, "kind": "FeatureVew"},
            "kind: 'FeatureVew' is not known; write one of FeastProject, FeatureView, FeatureService",
        ),
        (
            {"apiVersion": "v1", "kind": "List", "items": {}},
            "items: is not a list of objects; start each object with a dash",
        ),
        ({"apiVersion": "v1", "kind": "List"}, "items: is not a list of objects; start each object with a dash"),
    ],
)
def test_what_is_no_object_is_refused(item, problem):
    assert problems_of(item) == [problem]


# Every problem of every file


def test_every_problem_of_every_file_is_listed_with_its_file_and_line():
    files = {
        "b.yaml": to_yaml(a_feature_view("b", ttl=7), "text"),
        "a.yaml": "a: [\n---\n" + to_yaml(a_feature_view("a", features=[a_feature(type="int")])) + "---\nx: yes\n",
    }
    read = [(name, *read_documents(text, name)) for name, text in files.items()]
    problems = [problem for _, _, found in read for problem in found]
    projects, more = declare([document for _, found, _ in read for document in found])
    assert projects == []
    assert [(problem.file, problem.line, problem.path) for problem in sorted([*problems, *more])] == [
        ("a.yaml", 1, ""),
        ("a.yaml", 12, "spec.features[0].type"),
        ("a.yaml", 18, "x"),
        ("b.yaml", 15, "spec.ttl"),
        ("b.yaml", 16, ""),
    ]


def test_a_problem_in_a_list_has_the_line_in_the_file():
    (document,) = documents(
        {"apiVersion": "v1", "kind": "List", "items": [a_feature_view(), a_feature_view("b", ttl=7)]}
    )
    _, (problem,) = declare([document])
    assert (problem.path, problem.line) == ("spec.ttl", document.lines["items", 1, "spec", "ttl"])


def test_in_a_cluster_a_problem_has_neither_file_nor_line():
    _, (problem,) = declare([Document("", a_feature_view(ttl=7), {})])
    assert str(problem).startswith("spec.ttl: ")


def test_with_any_problem_nothing_is_declared():
    projects, problems = declare(documents(a_feature_view(), a_feature_view("b", ttl=7)))
    assert projects == []
    assert len(problems) == 1


# Where objects disagree

A = "default/a (features.yaml:1)"


@pytest.mark.parametrize(
    ("objects", "problems"),
    [
        (
            [a_feature_view("a"), a_feature_view("a")],
            [f"metadata.name: 'a' is the name of another FeatureView, {A}; rename one of them"],
        ),
        (
            [a_feature_view("a"), a_feature_view("a", source=a_source(file={"path": "y"}))],
            [f"metadata.name: 'a' is the name of another FeatureView, {A}; rename one of them"],
        ),
        (
            [a_project("a"), a_project("a")],
            [f"metadata.name: 'a' is the name of another FeastProject, {A}; rename one of them"],
        ),
        (
            [a_feature_view("a"), a_feature_view("b", feast_name="A", source=a_source(file={"path": "y"}))],
            [f"spec.name: 'A' is the Feast name of {A}; give each a spec.name of its own"],
        ),
        (
            [a_feature_view("a", feast_name="x-y"), a_feature_view("x-y"), a_feature_view("b", feast_name="x_y")],
            ["spec.name: 'x_y' is the Feast name of default/x-y (features.yaml:17); give each a spec.name of its own"],
        ),
        (
            [
                a_feature_view("v"),
                a_service("a", views=[{"name": "v"}]),
                a_service("b", feast_name="a", views=[{"name": "v"}]),
            ],
            ["spec.name: 'a' is the Feast name of default/a (features.yaml:16); give each a spec.name of its own"],
        ),
        (
            [a_project("a"), a_project("b")],
            [f"spec.project: 'feast' is the project of {A}; choose another name"],
        ),
    ],
)
def test_two_objects_of_one_name_are_refused(objects, problems):
    assert problems_of(*objects) == problems


def test_a_view_and_a_service_may_have_one_name():
    declared(a_feature_view("a"), a_service("a", views=[{"name": "a"}]))


SAME = "write the same in both, or name another entity"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"joinKey": "code"},
            f"joinKey: the entity 'commodity' has joinKey 'code' here and 'commodity' in {A}; {SAME}",
        ),
        ({"type": "Int64"}, f"type: the entity 'commodity' has type 'Int64' here and 'String' in {A}; {SAME}"),
        ({"description": "e"}, f"description: the entity 'commodity' has description 'e' here and 'd' in {A}; {SAME}"),
        ({"owner": "x" * 99}, f"owner: the entity 'commodity' has owner '{'x' * 44}... here and 'o' in {A}; {SAME}"),
        (
            {"tags": {"a": "c"}},
            f"tags: the entity 'commodity' has tags \"{{'a': 'c'}}\" here and \"{{'a': 'b'}}\" in {A}; {SAME}",
        ),
    ],
)
def test_two_views_that_disagree_on_an_entity_are_refused(changes, problem):
    first = a_feature_view("a", entities=[an_entity(description="d", owner="o", tags={"a": "b"})])
    second = a_feature_view("b", entities=[an_entity("other"), an_entity(**changes)])
    assert problems_of(first, second) == [f"spec.entities[1].{problem}"]


def test_a_view_that_says_nothing_about_an_entity_agrees():
    declared(
        a_feature_view("a", entities=[an_entity()]),
        a_feature_view("b", entities=[an_entity(description="d", joinKey="commodity", type="String")]),
        a_feature_view("c", entities=[an_entity(owner="o")]),
    )


def test_a_third_view_is_compared_with_what_the_first_two_say_together():
    views = [
        a_feature_view(name, entities=[an_entity(description=text)])
        for name, text in zip("abc", ["", "d", "e"], strict=True)
    ]
    (problem,) = problems_of(*views)
    assert problem.startswith(
        "spec.entities[0].description: the entity 'commodity' has description 'e' here and 'd' in"
    )


def test_projects_may_disagree_on_an_entity():
    declared(
        a_project("one", project="p1"),
        a_project("two", project="p2"),
        a_feature_view("a", projectRef={"name": "one"}),
        a_feature_view("b", projectRef={"name": "two"}, entities=[an_entity(type="Int64")]),
    )


SOURCE = "give spec.source.name or spec.push.name of its own"


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (
            {"source": a_source(name="s")},
            {"source": a_source(name="s", file={"path": "y"})},
            f"source.name: the data source 's' is another one in {A}; {SOURCE}",
        ),
        (
            {"source": a_source(name="s")},
            {"source": a_source(name="S")},
            f"source.name: the data source 'S' is another one in {A}; {SOURCE}",
        ),
        (
            {},
            {"source": a_source(name="a_source", owner="x")},
            f"source.name: the data source 'a_source' is another one in {A}; {SOURCE}",
        ),
        (
            {"push": {"enabled": True, "name": "p"}},
            {"push": {"enabled": True, "name": "p"}},
            f"push.name: the data source 'p' is another one in {A}; {SOURCE}",
        ),
        (
            {"push": {"enabled": True}},
            {"source": a_source(name="a_push")},
            f"source.name: the data source 'a_push' is another one in {A}; {SOURCE}",
        ),
        (
            {},
            {"push": {"enabled": True, "name": "b_source"}},
            f"push.name: the data source 'b_source' is another one in default/b (features.yaml:16); {SOURCE}",
        ),
    ],
)
def test_two_sources_of_one_name_are_refused(first, second, problem):
    second = {"features": [a_feature("x")], **second}
    (found,) = problems_of(a_feature_view("a", **first), a_feature_view("b", **second))
    assert found == f"spec.{problem}"


ADD = "add it to the files, or correct projectRef"


def test_views_may_share_a_source():
    source = a_source(name="s", owner="o")
    declared(a_feature_view("a", source=source), a_feature_view("b", features=[a_feature("x")], source=source))


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        (
            [a_feature_view(materialization={"schedule": "weekly"})],
            (
                "spec.materialization.schedule: 'weekly' is not a schedule of the project; "
                "write one of hourly, daily, never"
            ),
        ),
        (
            [a_feature_view(source=a_postgres_source())],
            (
                "spec.source.postgres: the project's offlineStore is file, which reads no postgres source; "
                "set the FeastProject's offlineStore.type to postgres"
            ),
        ),
        (
            [a_spark_project(offlineStore={"type": "duckdb"}), a_feature_view(source=a_spark_source())],
            (
                "spec.source.spark: the project's offlineStore is duckdb, which reads no spark source; "
                "set the FeastProject's offlineStore.type to spark"
            ),
        ),
        (
            [
                a_project(onlineStore=IN_CASSANDRA),
                a_feature_view(source=a_source(file={"path": "prices", "format": "delta"})),
            ],
            (
                "spec.source.file.format: is delta, and Feast's engine, which copies to Cassandra, would read the "
                "files that the table has removed; give a source of Parquet files, or keep the project's rows in Redis"
            ),
        ),
        (
            [a_project(onlineStore=IN_CASSANDRA), a_feature_view(feast_name="x" * 43)],
            (
                f"spec.name: makes the table 'feast_{'x' * 43}', and Cassandra takes names of up to 48 letters, digits "
                "and _; choose a shorter spec.name without -, or a shorter project"
            ),
        ),
        (
            [a_spark_project(batchEngine=None), a_feature_view(source=a_spark_source())],
            (
                "spec.source.spark: the project's batchEngine is columnar, which copies no spark source; "
                "set the FeastProject's batchEngine.type to spark.engine"
            ),
        ),
        (
            [a_project(offlineStore={"type": "postgres"}), a_feature_view()],
            (
                "spec.source.file: the project's offlineStore is postgres, which reads no file source; "
                "set the FeastProject's offlineStore.type to file or dask or duckdb or ray"
            ),
        ),
        (
            [a_feature_view(projectRef={"name": "other"})],
            f"spec.projectRef: refers to the FeastProject default/other, which is not here; {ADD}",
        ),
        (
            [a_project("p"), a_feature_view()],
            f"spec.projectRef: refers to the FeastProject default/feast, which is not here; {ADD}",
        ),
        (
            [a_project(namespace="x"), a_feature_view(projectRef={"namespace": "x"})],
            (
                "metadata.namespace: 'default' is not allowed by the FeastProject x/feast (features.yaml:1); "
                "list it in the project's allowedNamespaces"
            ),
        ),
        (
            [a_service(views=[{"name": "prices"}])],
            "spec.views[0].name: the feature view 'prices' is not here; write the Feast name of a view of this project",
        ),
        (
            [a_feature_view(), a_service(views=[{"name": "Commodity-Prices"}])],
            "spec.views[0].name: the feature view 'Commodity-Prices' is not here; did you mean commodity_prices?",
        ),
        (
            [a_feature_view(), a_service(views=[{"name": "commodity_prices", "features": ["price", "prise"]}])],
            (
                "spec.views[0].features[1]: the feature view 'commodity_prices' has no feature 'prise'; "
                "did you mean price?"
            ),
        ),
        (
            [a_feature_view(), a_service(views=[{"name": "commodity_prices", "features": ["zzz"]}])],
            "spec.views[0].features[0]: the feature view 'commodity_prices' has no feature 'zzz'; write one of price",
        ),
    ],
)
def test_what_refers_to_nothing_is_refused(objects, problem):
    assert problems_of(*objects) == [problem]


def test_a_view_may_have_no_schedule_at_all():
    declared(a_feature_view(materialization={"schedule": "never"}))


# What is wrong by itself causes no further problem


@pytest.mark.parametrize(
    "project",
    [
        a_project(projct="x"),
        a_project(project=7),
        {**a_project(), "spec": None},
        {**a_project(), "metadata": {"name": "feast", "namespace": 7}},
        {**a_project(), "metadata": 7},
    ],
)
def test_what_refers_to_a_wrong_project_is_not_wrong_for_that(project):
    view = a_feature_view(materialization={"schedule": "weekly"})
    assert not [
        problem for problem in problems_of(project, view, a_service()) if "Project" in problem or "schedule" in problem
    ]


def test_what_refers_to_a_wrong_project_is_still_compared():
    found = problems_of(
        a_project(projct="x"), a_feature_view("a"), a_feature_view("b", entities=[an_entity(type="Int64")])
    )
    assert any("the entity 'commodity' has type" in problem for problem in found)


@pytest.mark.parametrize(
    "view",
    [
        a_feature_view(ttl=7),
        a_feature_view("x", feast_name="commodity_prices", ttl=7),
        {**a_feature_view(), "spec": None},
        {**a_feature_view(), "metadata": 7},
        {**a_feature_view(), "metadata": {"name": 7}},
        a_feature_view(feast_name=7),
    ],
)
def test_a_service_of_a_wrong_view_is_not_wrong_for_that(view):
    service = a_service(views=[{"name": "commodity_prices", "features": ["anything"]}])
    assert not [problem for problem in problems_of(view, service) if "views" in problem]


UNREAD = {
    "nothing": "spec: [",
    "a part of a view": to_yaml(a_feature_view()) + "\nx: yes\n",
    "a part of a project": to_yaml(a_project()) + "\nx: yes\n",
    "a part of something": "x: yes\nname: a\n",
    "a part of a list": "kind: List\nitems: [{kind: FeatureView, x: yes}, yes]\n",
    "the items of a list": "kind: List\nitems: yes\n",
}


@pytest.mark.parametrize("text", UNREAD.values(), ids=UNREAD)
def test_what_refers_to_a_document_that_could_not_be_read_is_not_wrong_for_that(text):
    found, problems = read_documents(text + "\n---\n" + to_yaml(a_service()), "f.yaml")
    assert problems
    missing = [problem.reason for problem in declare(found)[1]]
    assert missing == (["ViewNotFound"] if "FeastProject" in text else [])


def test_with_a_document_that_could_not_be_read_nothing_is_declared():
    found, _ = read_documents(to_yaml(a_feature_view()) + "---\nx: yes\n", "f.yaml")
    assert declare(found) == ([], [])


def test_a_wrong_service_is_only_wrong_by_itself():
    assert problems_of(a_feature_view(), a_service(views=[])) == ["spec.views: is empty; write at least one"]


# What is made of them


def test_the_only_project_or_the_one_of_that_name():
    one, two = declared(a_project("one", project="p1"), a_project("two", project="p2"))
    assert only_project([one], None) is one
    assert only_project([one, two], None) is None
    assert only_project([one, two], "two") is two
    assert only_project([one, two], "p1") is one
    assert only_project([one, two], "three") is None


def test_a_laptops_data_root_may_hold_anything():
    (project,) = declared(a_project(offlineStore={"type": "duckdb", "options": {"a": 1}}), a_feature_view())
    moved = with_data_root(project, "/home/é $x/lake")
    store = moved.project.spec.offline_store
    assert store.data_root.join("a.parquet") == "/home/é $x/lake/a.parquet"
    assert (store.type, store.options) == ("duckdb", {"a": 1})
    assert moved.views == project.views
    assert project.project.spec.offline_store.data_root is None
