"""What is read: files, folders, pipes and standard input; and what is said of those that cannot be."""

import os
import shutil
import subprocess
import sys

import pytest

from featureplane.cli.inputs import read_inputs
from featureplane.errors import InputError
from featureplane.model.documents import LONGEST_TEXT

# What an ordinary user lacks too.
NO_ROOT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
NOTHING = "holds no FeatureView, FeatureService or FeastProject; name a file or folder that does"

VIEW = """\
apiVersion: featureplane.dev/v1alpha1
kind: FeatureView
metadata: {{name: {name}}}
spec:
  entities: [{{name: driver}}]
  features: [{{name: trips, type: {type}}}]
  source: {{file: {{path: {name}.parquet}}, timestampField: time}}
"""


def a_view(name, kind="Int64"):
    return VIEW.format(name=name, type=kind)


def names(paths):
    return [view.feast_name for project in read_inputs([str(path) for path in paths]) for view in project.views]


def problems(paths):
    with pytest.raises(InputError) as error:
        read_inputs([str(path) for path in paths])
    return [str(problem) for problem in error.value.problems]


def test_a_folder_is_every_yaml_and_json_file_below_it_but_for_what_is_hidden(tmp_path):
    for place in (
        "a.yaml",
        "sub/b.yml",
        "sub/deep/c.json",
        ".hidden.yaml",
        ".git/d.yaml",
        "sub/.e/f.yaml",
        "notes.txt",
        "sub/set.parquet.json",
        "set.CSV.json",
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(a_view(path.stem.strip(".")))
    assert names([tmp_path]) == ["a", "b", "c"]
    assert names([tmp_path / ".git" / "d.yaml"]) == ["d"]  # unless it is named


def test_a_file_is_read_once_however_often_and_by_whatever_path_it_is_named(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(a_view("a"))
    (tmp_path / "link.yaml").symlink_to(file)
    assert names([tmp_path, file, f"{tmp_path}/../{tmp_path.name}/a.yaml"]) == ["a"]


def test_a_pipe_is_read_as_a_file_is(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    script = f"open({str(path)!r}, 'w').write({a_view('a')!r})"
    with subprocess.Popen([sys.executable, "-c", script]):
        assert names([path]) == ["a"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.yaml").write_text(a_view("a"), encoding="utf-8-sig")
    assert names([tmp_path]) == ["a"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing", "missing: is not there; name a file, a folder or - for standard input"),
        ("", "'': is not there; name a file, a folder or - for standard input"),
        ("empty", "empty: is a folder without any .yaml, .yml or .json file; name another"),
        ("x" * 300, f"{'x' * 300}: cannot be read: File name too long; correct the path"),
        ("latin.yaml", "latin.yaml:3: is not UTF-8 text; save it as UTF-8"),
        ("nothing.yaml", f"nothing.yaml: {NOTHING}"),
        ("text.yaml", "text.yaml:1: is not an object; start with apiVersion, kind, metadata and spec"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path, monkeypatch, path, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.yaml").write_bytes(b"# one\n# two\n# caf\xe9\n")
    (tmp_path / "nothing.yaml").write_text("# nothing yet\n")
    (tmp_path / "text.yaml").write_text("just words\n")
    assert problems([path]) == [said]


def test_a_file_that_is_too_large_is_refused_and_never_read_in_part(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_text(a_view("a") + "# ü" * (LONGEST_TEXT // 4 + 1))
    assert path.stat().st_size > LONGEST_TEXT > len(path.read_text())
    assert problems([path]) == [f"{path}: is larger than 32 MiB; split the file"]


@pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads every file unless it gives that right away"
)
def test_what_may_not_be_read_is_named_and_does_not_hide_the_rest(place):
    place.write("right.yaml", a_view("right"))
    place.write("wrong.yaml", a_view("wrong", "Int63"))
    place.write("files/secret.yaml", a_view("secret")).chmod(0)
    place.write("closed/inside.yaml", a_view("inside")).parent.chmod(0)
    ran = place("validate", ".", prefix=NO_ROOT_RIGHTS)
    (place.folder / "closed").chmod(0o700)
    assert ran.status == 2
    lines = ran.err.splitlines()
    assert lines[0] == "closed: cannot be read: Permission denied; check its permissions"
    assert lines[1] == "files/secret.yaml: cannot be read: Permission denied; check its permissions"
    assert lines[2].startswith("wrong.yaml:6: spec.features[0].type: 'Int63' is no type of Feast's")
    assert lines[3:] == ["3 problems; nothing was done"]


def test_standard_input_is_read_for_a_dash(featureplane):
    ran = featureplane("validate", "-", stdin=a_view("a") + "---\n" + a_view("b", "Int63"))
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("<stdin>:14: spec.features[0].type: 'Int63' is no type of Feast's")


def test_standard_input_that_is_empty_or_closed_holds_nothing(featureplane, place):
    said = f"-: {NOTHING}"
    assert featureplane("validate", "-").err.splitlines()[0] == said
    closed = place("validate", "-", prefix=["sh", "-c", 'exec "$@" <&-', "sh"])
    assert (closed.status, closed.err.splitlines()[0]) == (2, said)


def test_every_problem_of_every_file_is_shown_at_once(featureplane, tmp_path):
    (tmp_path / "one.yaml").write_text(a_view("one", "Int63").replace("time}", "'a b'}"))
    (tmp_path / "two.yaml").write_text("apiVersion: featureplane.dev/v1alpha1\nkind: FeatureVeiw\n---\na: [\n")
    (tmp_path / "three.yaml").write_text(a_view("three").replace("name: driver", "name: driver, joinkey: id"))
    ran = featureplane("validate", "one.yaml", "two.yaml", "three.yaml")
    places = [line.split(": ")[0] for line in ran.err.splitlines()[:-1]]
    assert (ran.status, ran.out) == (2, "")
    assert sorted(places) == ["one.yaml:6", "one.yaml:7", "three.yaml:5", "two.yaml:2", "two.yaml:4"], ran.err
    assert ran.err.splitlines()[-1] == "5 problems; nothing was done"
    assert "FeatureView" in ran.err
    assert "joinKey" in ran.err


def test_hostile_text_in_a_file_is_shown_harmlessly(featureplane, tmp_path):
    hostile = '"\\e[31m[red]x\\r\\nmade up: line [/]"'
    (tmp_path / "a.yaml").write_text(
        f"apiVersion: featureplane.dev/v1alpha1\nkind: FeatureView\nmetadata: {{name: {hostile}}}\n"
        f"spec:\n  description: {hostile}\n  entities: [{{name: {hostile}}}]\n  {hostile}: 1\n"
        f"  features: [{{name: {hostile}, type: {hostile}}}]\n  source: {{file: {{path: {hostile}}}}}\n"
    )
    ran = featureplane("validate", tmp_path / "a.yaml")
    assert ran.status == 2
    assert "\x1b" not in ran.err
    assert "\r" not in ran.err
    assert all("a.yaml:" in line for line in ran.err.splitlines()[:-1]), ran.err
    assert "[red]x" in ran.err
