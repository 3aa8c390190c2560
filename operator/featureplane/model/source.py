"""Where a view's rows come from: exactly one of `file`, `postgres`, `spark`; other stores join the same one-of."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from featureplane.model.base import (
    Column,
    Description,
    Found,
    Model,
    Name,
    Owner,
    Tags,
    kubernetes,
    refuse,
    rule,
    shown,
    wrong,
)

# Relative, of plain characters, `*` as the only glob; `..` is refused beside the pattern, which could not say it.
PATH_PATTERN = r"^[A-Za-z0-9_.=*@+,-][A-Za-z0-9_.=*@+, -]*(/[A-Za-z0-9_.=*@+,-][A-Za-z0-9_.=*@+, -]*)*/?$"
# A file system's bound on one name.
_LONGEST_PART = 255
TABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$"
# At least three names: Spark takes two, like csv.users, for a format and a file wherever no schema is called so.
SPARK_TABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62}){2,3}$"
SourceKind = Literal["file", "postgres", "spark"]


def _inside(path: str) -> str:
    if any(part in {".", ".."} for part in path.split("/")):
        raise wrong(f"{shown(path)} leaves the data root", "write a path below it, without . or .. as a folder")
    if "**" in path:
        raise wrong(f"{shown(path)} holds **", "write one * for each part of a name")
    if any(len(part) > _LONGEST_PART for part in path.split("/")):
        raise wrong(f"has a name longer than {_LONGEST_PART} characters", "shorten it")
    return path


class FileSource(Model):
    """Parquet files or a Delta table below the project's data root."""

    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=PATH_PATTERN,
            json_schema_extra=kubernetes(
                validations=[
                    rule(
                        "!self.split('/').exists(part, part == '..' || part == '.')",
                        "the path must stay below the data root: no . or .. as a folder",
                    ),
                    rule(
                        "!self.contains('**') && self.split('/').all(part, size(part) <= 255)",
                        "the path must have one * at a time and names of at most 255 characters",
                    ),
                ]
            ),
        ),
        AfterValidator(_inside),
    ]
    """Path of a file or folder, relative to the project's data root; `*` matches within a folder's or file's name."""
    format: Literal["parquet", "delta"] = "parquet"
    """Format of the files."""


class PostgresSource(Model):
    """A table or view of the PostgreSQL database that is the project's offline store."""

    table: Annotated[str, Field(min_length=1, max_length=127, pattern=TABLE_PATTERN)]
    """Name of the table, with its schema where that is not on the search path: `schema.table`."""


class SparkSource(Model):
    """A table in one of the catalogs of the Spark session that is the project's offline store."""

    table: Annotated[str, Field(min_length=1, max_length=255, pattern=SPARK_TABLE_PATTERN)]
    """Name of the table with its catalog: `catalog.schema.table`. The FeastProject's `spark_conf` says which catalogs
    there are."""


class Source(Model):
    """One place with the rows of the view, and which of its columns say when."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "[has(self.file), has(self.postgres), has(self.spark)].exists_one(given, given)",
                    "give exactly one of file, postgres and spark",
                )
            ]
        )
    )

    file: FileSource | None = None
    """Rows in Parquet files or a Delta table."""
    postgres: PostgresSource | None = None
    """Rows in a PostgreSQL table."""
    spark: SparkSource | None = None
    """Rows in a table of a Spark catalog (Iceberg, Delta, Hive), copied by Feast's Spark engine."""
    name: Name | None = None
    """Name of the Feast data source; default: the view's name with `_source`. Views that give the same name share one
    data source and must describe it alike."""
    timestamp_field: Column
    """Column with the time at which a row's values were true (event time)."""
    created_timestamp_column: Column | None = None
    """Column with the time at which a row was written; of two rows with one event time the later one wins."""
    field_mapping: Annotated[
        dict[Column, Annotated[Column, Field(description="Name of the feature or join key.")]], Field(max_length=200)
    ] = Field(default_factory=dict)
    """Source column to feature, where their names differ."""
    description: Description = ""
    """What the data is; kept in Feast's data source."""
    owner: Owner = ""
    """Who answers for the data."""
    tags: Tags = Field(default_factory=dict)
    """Free labels of the data source."""

    @property
    def kind(self) -> SourceKind:
        """Which of them it is."""
        return "file" if self.file else "postgres" if self.postgres else "spark"

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Found]:
        if sum(each is not None for each in (self.file, self.postgres, self.spark)) != 1:
            yield (), "must have exactly one of file, postgres and spark", "write one of them"
        if self.created_timestamp_column == self.timestamp_field:
            yield ("createdTimestampColumn",), "is the timestampField as well", "leave it out"
        first: dict[str, str] = {}
        for column, target in self.field_mapping.items():
            if (other := first.setdefault(target, column)) != column:
                yield ("fieldMapping", column), f"maps to {shown(target)}, as {shown(other)} does", "keep one of them"
