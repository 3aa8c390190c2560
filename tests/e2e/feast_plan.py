"""What `feast plan` says would change, as far as it would.

Once a view was materialized Feast takes it for another than the one of the repo, and shows its source with the times at
which either was made: a repo knows no intervals, and both are the registry's alone. That is so in every Feast project.
"""

import re

_TIMES = re.compile(r"^meta \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_OBJECT = re.compile(
    r"^(Created|Deleted|Updated) (.*)\n((?:.*\n)*?)(?=Created |Deleted |Updated |No changes to infra|\Z)", re.MULTILINE
)


def changes(planned: str) -> list[str]:
    """Its lines about objects, without those in which nothing but times differs."""
    assert "No changes to infrastructure" in planned, planned
    found = _OBJECT.findall(_TIMES.sub("", planned))
    return [f"{verb} {name}" for verb, name, how in found if verb != "Updated" or not _is_the_same(how)]


def _is_the_same(how: str) -> bool:
    (what, _, to) = how.strip().partition("\n -> ")
    return what.startswith("batch_source: ") and what.removeprefix("batch_source: ").strip() == to.strip()
