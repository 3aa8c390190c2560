"""Jobs that the operator starts itself: a view's first run, and the purge of rows that nobody asks for any more.

Whether one is needed follows from the run history and the Jobs that are there, so that one that was never made, because
the operator was killed just then, is made at the next look. A Job that failed is not made again while it can be looked
at: the schedule's own run does what it should have done.
"""

from collections.abc import Iterable, Mapping, Sequence

from featureplane import names
from featureplane.controller.children import apply
from featureplane.controller.inventory import Child, ProjectKey
from featureplane.controller.judge import Verdict
from featureplane.controller.register import Looked
from featureplane.controller.world import World
from featureplane.errors import ClusterError
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.jobs import initial_job, purge_job
from featureplane.materialization.outlook import Waiting
from featureplane.model.feature_view import NEVER, FeatureView
from featureplane.rendering.definitions import digest

INITIAL, PURGE = "initial", "purge"
# A thousand new views are a few Jobs, and none has a command line too long to read.
_MOST_VIEWS = 200


async def start_jobs(
    world: World, project: ProjectKey, context: Context, verdict: Verdict, looked: Looked
) -> ClusterError | None:
    """Start what is due. Returns the error where the API server refused one."""
    jobs = [child for child in world.inventory.children_of(project) if child.kind == "Job"]
    views = sorted(view.feast_name for view in verdict.declarations.views if _wants_first_run(view))
    waiting = {name: looked.waiting[name] for name in views if name in looked.waiting}
    covered = _covered(jobs)
    left = [name for name in waiting if covered.get(name, -1) < waiting[name].seq]
    manifests = [
        _first_run(context, left[start : start + _MOST_VIEWS], waiting) for start in range(0, len(left), _MOST_VIEWS)
    ]
    if looked.purges.due and not any(_purpose(job) == PURGE and not job.is_finished for job in jobs):
        # One that failed is tried again in the next hour, under another name; a Job's pod cannot be changed.
        hour = world.now().strftime("%Y%m%d%H")
        manifests.append(purge_job(context, digest([looked.purges.due, hour, context.image])))
    for manifest in manifests:
        try:
            await apply(world, manifest)
        except ClusterError as error:
            return None if error.is_end_of_namespace else error
    return None


def _first_run(context: Context, views: Sequence[str], waiting: Mapping[str, Waiting]) -> Manifest:
    """A Job that notes up to which change of the registry it was made: later ones ask for another."""
    seq = str(max(waiting[name].seq for name in views))
    manifest = initial_job(context, views, salt=seq)
    manifest["metadata"]["annotations"][names.ANNOTATION_CHANGE] = seq
    return manifest


def _wants_first_run(view: FeatureView) -> bool:
    own = view.spec.materialization
    return own.initial and own.schedule != NEVER and view.spec.online and not view.spec.suspend


def _covered(jobs: Iterable[Child]) -> dict[str, int]:
    """The newest change of each view that a Job was made for: one that began to wait later has none yet."""
    covered: dict[str, int] = {}
    for job in jobs:
        if _purpose(job) == INITIAL:
            change = int(job.annotations.get(names.ANNOTATION_CHANGE, "0"))
            for view in job.annotations.get(names.ANNOTATION_VIEWS, "").split(","):
                covered[view] = max(covered.get(view, change), change)
    return covered


def _purpose(job: Child) -> str | None:
    return job.labels.get(names.LABEL_JOB)
