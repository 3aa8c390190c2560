"""`featureplane history` with what it cannot take; what it shows is in `tests/feast/test_audit.py`."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["table/prices"], "table/prices names no object; write view/NAME, service/, entity/, source/ or project/"),
        (["view/"], "view/ names no object"),
        (["--since", "spring"], "--since spring is neither a duration nor a time; write 2d, 2026-03-31 or"),
    ],
)
def test_what_is_wrong_is_named_before_a_store_is_started(featureplane, tmp_path, arguments, said):
    ran = featureplane("history", *arguments)
    assert ran.status == 2
    assert said in ran.err
    assert not (tmp_path / ".featureplane").exists()
