"""`FeatureService`: the features of one or more views that a model uses, under one name."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from featureplane.model.base import (
    NO_DOUBLE_DASH,
    Description,
    Items,
    Kind,
    Model,
    Name,
    Owner,
    ProjectRef,
    Tags,
    distinct,
    feast_name,
    feast_name_problems,
    kubernetes,
    refuse,
    rule,
    shown,
    unique_by,
)
from featureplane.model.deprecated import DeprecatedService


class ServiceView(Model):
    """A feature view, or some features of it."""

    name: Name
    """Name of the feature view in Feast."""
    features: (
        Annotated[
            Items[Annotated[Name, Field(description="Name of a feature of the view.")]],
            Field(min_length=1, max_length=500, json_schema_extra=kubernetes(list_type="set")),
            AfterValidator(distinct),
        ]
        | None
    ) = None
    """The features that are used, in this order; left out: all of the view's."""


class FeatureServiceSpec(Model):
    """The features that one model, or one version of it, is trained on and asks for."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)",
                    "the name of a feature service is immutable; make a new FeatureService",
                    ".name",
                ),
            ]
        )
    )

    name: Name | None = None
    """Name in Feast; default: metadata.name with `_` for `-` and `.`. Immutable, set or not."""
    project_ref: Annotated[
        ProjectRef,
        Field(
            json_schema_extra=kubernetes(
                validations=[rule("self == oldSelf", "projectRef is immutable; make a new FeatureService")]
            )
        ),
    ] = Field(default_factory=lambda: ProjectRef.model_validate({}))
    """The FeastProject this service belongs to. Immutable."""
    description: Description = ""
    """What the features are used for."""
    owner: Owner = ""
    """Who answers for the service."""
    tags: Tags = Field(default_factory=dict)
    """Free labels, kept in Feast's registry."""
    deprecated: DeprecatedService | None = None
    """Says that the service is not to be used any more."""
    views: Annotated[
        Items[ServiceView],
        Field(min_length=1, max_length=100, json_schema_extra=kubernetes(list_type="map", list_map_keys=["name"])),
        unique_by("name"),
    ]
    """The feature views that are used."""


class FeatureService(Kind):
    """The features of one or more views that a model uses, under one name."""

    model_config = ConfigDict(json_schema_extra=kubernetes(validations=[NO_DOUBLE_DASH]))

    spec: FeatureServiceSpec

    @model_validator(mode="after")
    def _feast_name_fits(self) -> Self:
        refuse(feast_name_problems(self.spec.name, self.metadata))
        deprecated = self.spec.deprecated
        if deprecated and deprecated.replaced_by == self.feast_name:
            text = f"{shown(self.feast_name)} is what is deprecated"
            refuse([(("spec", "deprecated", "replacedBy"), text, "name another")])
        return self

    @property
    def feast_name(self) -> str:
        """The service's name in Feast."""
        return feast_name(self.spec.name, self.metadata)

    @property
    def project_key(self) -> tuple[str, str]:
        """Namespace and name of the FeastProject."""
        return self.spec.project_ref.namespace or self.metadata.namespace, self.spec.project_ref.name
