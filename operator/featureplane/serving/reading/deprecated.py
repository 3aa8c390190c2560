"""What an answer has of what is deprecated, and how its client is told: by headers that Feast's clients pass over."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from featureplane.deprecation import Deprecation
from featureplane.serving.catalogue.served import UNDESCRIBED, Catalogue, ServedView
from featureplane.serving.percent import percent_encoded
from featureplane.serving.reading.request import Request

Header = tuple[bytes, bytes]
_DATE, _TEXT = b"deprecation", b"featureplane-deprecated"
_MOST_NAMED = 10
_LONGEST = 200


class Deprecated(NamedTuple):
    """A view, a feature of it, or a service that a request asked for."""

    view: str
    feature: str
    service: str
    said: Deprecation

    def __str__(self) -> str:
        name = self.service or (f"{self.view}:{self.feature}" if self.feature else self.view)
        return f"{name} is {self.said}"


def of_view(view: ServedView, features: Collection[str]) -> Iterator[Deprecated]:
    """The view as a whole, and those of the features that are asked for."""
    for feature, said in view.described.deprecated:
        if not feature or feature in features:
            yield Deprecated(view.name, feature, "", said)


def of_service(catalogue: Catalogue, service: str) -> tuple[Deprecated, ...]:
    said = catalogue.described_services.get(service, UNDESCRIBED).deprecated
    return tuple(Deprecated("", "", service, each) for _, each in said)


def asked_for(catalogue: Catalogue, request: Request) -> tuple[Deprecated, ...]:
    """Of what a request names that Feast's own app answers; what is wrong with the request is Feast's to say."""
    if request.service:
        projections = catalogue.services.get(request.service, ())
        chosen = [(catalogue.views.get(each.view), each.features) for each in projections]
        found = [each for view, features in chosen if view for each in of_view(view, features)]
        return (*of_service(catalogue, request.service), *found)
    wanted: dict[str, set[str]] = {}
    for reference in request.features:
        asked, _, feature = reference.partition(":")
        name = asked if asked in catalogue.views else asked.partition("@")[0]
        wanted.setdefault(name, set()).add(feature)
    known = [(catalogue.views[name], features) for name, features in wanted.items() if name in catalogue.views]
    return tuple(
        each for view, features in known for each in of_view(view, view.features if "" in features else features)
    )


def headers_of(found: Sequence[Deprecated]) -> tuple[Header, ...]:
    """For an answer with these: `deprecation` with the earliest day (RFC 9745), and what is deprecated as text."""
    if not found:
        return ()
    shown = [_cut(str(each)) for each in found[:_MOST_NAMED]]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    days = [moment for each in found if (moment := _seconds(each.said.since)) is not None]
    date = [(_DATE, b"@%d" % min(days))] if days else []
    return (*date, (_TEXT, percent_encoded(" | ".join([*shown, *more]))))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _seconds(day: str) -> int | None:
    """The beginning of a day, in seconds since 1970; None for what is no day, as anybody may tag a view."""
    try:
        return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
