"""`deprecated`: what is not to be used any more, since when, why, and what to use in its place."""

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field

from featureplane.deprecation import Deprecation
from featureplane.model.base import NAME_PATTERN, Model, Name, shown, wrong

DAY_PATTERN = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_NAME = NAME_PATTERN.removeprefix("^").removesuffix("$")
REFERENCE_PATTERN = f"^{_NAME}(:{_NAME})?$"
_LONGEST_REFERENCE = 127


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise wrong(f"{shown(text)} is no day", "write one as 2026-03-31") from None
    return text


class _Deprecated(Model):
    """What every kind of deprecation says."""

    since: Annotated[str, Field(max_length=10, pattern=DAY_PATTERN), AfterValidator(_day)]
    """The day from which it is not to be used in anything new: 2026-03-31."""
    message: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Why, and what users are to do."""

    replaced_by: str | None = None

    @property
    def deprecation(self) -> Deprecation:
        return Deprecation(self.since, self.message or "", self.replaced_by or "")


class Deprecated(_Deprecated):
    """A view or a feature that is not to be used any more. It is registered and served on, and whoever asks is told."""

    replaced_by: (
        Annotated[str, Field(min_length=1, max_length=_LONGEST_REFERENCE, pattern=REFERENCE_PATTERN)] | None
    ) = None
    """What to use instead: a feature view by its name in Feast, or a feature as `view:feature`."""


class DeprecatedService(_Deprecated):
    """A service that is not to be used any more. It is registered and served on, and whoever asks is told."""

    replaced_by: Name | None = None
    """The feature service to use instead, by its name in Feast."""
