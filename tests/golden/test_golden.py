import json
import os
import shutil

import pytest
import yaml

from featureplane.model.declarations import declare
from featureplane.model.documents import read_documents
from featureplane.names import DEFINITIONS_FILE, FEATURE_STORE_FILE, LOADER_FILE
from featureplane.rendering.definitions import define
from featureplane.rendering.repo import render


def rendered(found):
    """The files of each project's repo, by the project's name in Feast; what is the same in all is left out."""
    projects, problems = declare(found)
    assert not problems, "\n".join(str(problem) for problem in problems)
    repos = {item.project.spec.project: render(item.project, define(item)) for item in projects}
    return {
        f"{project}/{name}" if len(repos) > 1 else name: text
        for project, files in repos.items()
        for name, text in files.items()
        if name != LOADER_FILE
    }


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def found(case):
    found, problems = read_documents(case.read_text(), case.name)
    assert not problems, "\n".join(str(problem) for problem in problems)
    return found


def test_a_case_is_rendered_as_it_was(case, found, update):
    folder = case.parent / case.name.removesuffix(".in.yaml")
    now = rendered(found)
    if update:
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in now.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    assert now == files_below(folder), "if this change is meant: pytest tests/golden --update-golden"


def test_the_order_of_the_documents_changes_no_byte(found):
    assert rendered(found) == rendered(found[::-1]) == rendered(found[1:] + found[:1])


def test_what_is_rendered_is_plain_data(found):
    for name, text in rendered(found).items():
        assert text.isascii()
        if name.endswith(DEFINITIONS_FILE):
            assert json.loads(text)["format"] == 1
        if name.endswith(FEATURE_STORE_FILE):
            assert yaml.safe_load(os.path.expandvars(text)) == yaml.safe_load(text)


def test_no_folder_is_without_its_case(request):
    here = request.path.parent
    folders = {path.name for path in here.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {path.name.removesuffix(".in.yaml") for path in here.glob("*.in.yaml")}
