"""`featureplane roll-back`: serve an entity's row of before again."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from featureplane.cli.console import complain, print_json, printable, say, show_wide_table, table
from featureplane.cli.entities import EntityValue, ViewName, Yes, definition_of, entity_named
from featureplane.cli.row_history import LONGEST_VALUE, shown_time, values_of
from featureplane.cli.runs import places_of
from featureplane.cli.workspace import AsJson, DataRootPath, Paths, ProjectName, moment_of, open_stores, open_workspace
from featureplane.entities.rolling_back import RollBack, is_served, row_as_of
from featureplane.entities.served import catalogue_of, online_row
from featureplane.errors import FeatureplaneError
from featureplane.parity.judging import OnlineRow, SourceRow, moment


def roll_back(
    paths: Paths,
    view: ViewName,
    entity: EntityValue,
    to: Annotated[
        str, typer.Option("--to", metavar="TIME", help="When the row was right: 2d, 2026-03-31, 2026-03-31T08:00Z.")
    ],
    yes: Yes = False,
    project: ProjectName = None,
    data_root: DataRootPath = None,
    as_json: AsJson = False,
) -> None:
    """Serve an entity's row of before again.

    It is the row that the view's source has as of TIME. It is written with the event time of now, through the same
    checks as a client's, and shown beside what it replaces; without --yes it is only shown. A run writes over it when
    the source has a row with a later event time: where the source is wrong, correct it as well.

    For example: featureplane roll-back features/ --view driver_stats -e driver_id=1001 --to 2026-03-31T08:00Z --yes
    """
    now = datetime.now(UTC)
    at = moment_of("--to", to, now)
    if at > now:
        raise FeatureplaneError(f"--to {printable(to)} lies in the future; name a time when the row was right")
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    with open_stores(workspace.settings) as stores:
        named = entity_named(workspace, stores, view, entity)
        definition = definition_of(workspace, stores, view)
        if not definition.spec["online"]:
            raise FeatureplaneError(
                f"{view} is not online: nobody is served from it, and there is nothing to roll back"
            )
        with places_of(workspace, stores) as places:
            row = row_as_of(named, places, at)
        with catalogue_of(workspace.declarations.project, stores, writes=True) as catalogue:
            before = online_row(stores, catalogue, named)
            planned = RollBack(named, row, before)
            planned.check(stores, catalogue)
            is_done = yes and not is_served(named, row, before)
            if is_done:
                planned.carry_out(stores, catalogue, definition)
            after = online_row(stores, catalogue, named) if is_done else before
    if as_json:
        print_json(_as_json(planned, after, is_done=is_done))
    else:
        _show(planned, after, is_done=is_done)


def _as_json(planned: RollBack, after: OnlineRow, *, is_done: bool) -> dict[str, Any]:
    def said(row: SourceRow | OnlineRow) -> dict[str, Any] | None:
        if row.time is None:
            return None
        return {"event_time": moment(row.time), "values": values_of(planned.entity, row)}

    return {
        "view": planned.entity.view.name,
        "entity": planned.entity.by_name,
        "source": said(planned.row),
        "before": said(planned.online),
        "after": said(after),
        "done": is_done,
    }


def _show(planned: RollBack, after: OnlineRow, *, is_done: bool) -> None:
    made = table("ROW", "EVENT TIME", *(printable(name) for name, _ in planned.entity.view.features))
    lines: list[tuple[str, SourceRow | OnlineRow]] = [("of the source", planned.row), ("is online", after)]
    for label, row in [("was online", planned.online), *lines] if is_done else lines:
        there = row.time is not None
        values = [printable(value, LONGEST_VALUE) for value in values_of(planned.entity, row).values()] if there else []
        made.add_row(label, shown_time(row.time), *values)
    show_wide_table(made)
    if is_done:
        complain(
            "a run replaces it when the source has a row with a later event time, and materialize --overwrite in any "
            "case; where the source is wrong, correct it as well", "",
        )  # fmt: skip
    elif is_served(planned.entity, planned.row, planned.online):
        say("these values are online already; nothing was done")
    else:
        say("nothing was done; --yes writes the source's row with the event time of now")
