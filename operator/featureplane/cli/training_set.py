"""`featureplane training-set`: features as they were known at the moments of a file's rows."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from featureplane.cli.console import complain, counted, progress, say
from featureplane.cli.runs import places_of
from featureplane.cli.workspace import (
    DataRootPath,
    FeatureNames,
    ProjectName,
    open_stores,
    open_workspace,
    registered,
)
from featureplane.errors import FeatureplaneError
from featureplane.training.asking import asked_for, definitions_of, wanted_of
from featureplane.training.entity_files import entities_at
from featureplane.training.formats import record_place
from featureplane.training.making import Made, Order, make
from featureplane.training.opening import MEMORY_MB
from featureplane.training.output import appearing, check_output, refuse_lists_in_csv, table_appearing
from featureplane.training.record import as_text, record_of

_LEAST_MEMORY = 128

EntityFilePath = Annotated[
    str,
    typer.Option(
        "--entities",
        metavar="FILE",
        help="A row for each entity, in a .parquet, .csv or .arrow file, here or as s3://BUCKET/FILE.",
    ),
]
OutPath = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Where to write to: a .parquet, .csv or .arrow file, here or as s3://BUCKET/FILE.",
    ),
]
FullNames = Annotated[
    bool, typer.Option("--full-feature-names", help="Name the columns view__feature, where features share a name.")
]


def training_set(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[SERVICE] PATH",
            help="The feature service (none with --feature), then YAML files, folders of them, or - for standard "
            "input.",
        ),
    ],
    entities: EntityFilePath,
    out: OutPath,
    feature: FeatureNames = None,
    timestamp_column: Annotated[
        str, typer.Option("--timestamp-column", metavar="NAME", help="The column of FILE that says when.")
    ] = "event_timestamp",
    full_feature_names: FullNames = False,
    allow_duplicates: Annotated[
        bool, typer.Option("--allow-duplicates", help="Take rows that are the same in every column.")
    ] = False,
    memory_mb: Annotated[
        int,
        typer.Option("--memory-mb", min=_LEAST_MEMORY, help="Megabytes for the join; more goes to the scratch disk."),
    ] = MEMORY_MB,
    project: ProjectName = None,
    data_root: DataRootPath = None,
) -> None:
    """Write training data as of each row's moment.

    Each row of a file of entities gets the features that were known at its moment.

    Of an entity's rows up to the moment the newest counts, of several with one event time the one created last; one
    older than its view's ttl counts as missing. What was asked, from which definitions, and how many values are missing
    stands beside OUT in OUT.json. OUT appears whole or not at all. Both files may lie in the project's S3 store.

    For example: featureplane training-set price_model_v2 features/ --entities labels.csv --out training.parquet
    """
    service, paths = ("", names) if feature else (names[0], names[1:])
    if not paths:
        raise FeatureplaneError("name a feature service, or features with --feature, and then the files of the project")
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    form = check_output(out, entities)
    with entities_at(entities) as file, open_stores(workspace.settings) as stores:
        known = registered(stores, workspace.feast_project)
        asked = asked_for(known, service, feature or [])
        columns = asked.columns(full_names=full_feature_names)
        wanted = wanted_of(workspace.feast_project, known, asked)
        kinds = {f"{each.name}:{name}": kind for each in wanted for name, kind in each.view.features}
        refuse_lists_in_csv(out, form, {name: kinds[reference] for name, reference in columns.items()})
        order = Order(wanted, columns, file, timestamp_column, allow_duplicates, memory_mb)
        with (
            places_of(workspace, stores) as places,
            appearing(record_place(out)) as record,
            table_appearing(out, form) as writer,
            progress("joined") as told,
        ):
            made = make(order, places, writer, told)
            definitions = definitions_of(known, asked)
            said = record_of(workspace.feast_project, asked, order, made, definitions, datetime.now(UTC))
            record.write_text(as_text(said), encoding="utf-8")
    _tell(out, made)


def _tell(out: str, made: Made) -> None:
    say(f"{counted(made.rows, 'row')} in {out}; what was asked stands in {record_place(out)}")
    for name, count in made.missing.items():
        if count:
            complain(f"{name} is missing in {count} of them", "")
