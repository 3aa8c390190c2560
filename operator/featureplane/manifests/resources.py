"""CPU and memory of pods where the project does not say."""

from featureplane.model.feast_project import Resources


def server(own: Resources, workers: int) -> Resources:
    """A feature server of so many processes, each with Feast in memory."""
    usual = _sized({"cpu": "250m", "memory": f"{256 + 256 * workers}Mi"}, {"cpu": "2", "memory": f"{1 + workers}Gi"})
    return _with_defaults(own, usual)


def registry_server(own: Resources) -> Resources:
    return _with_defaults(own, _sized({"cpu": "100m", "memory": "384Mi"}, {"cpu": "1", "memory": "1Gi"}))


def reader(own: Resources) -> Resources:
    """What reads sources: Feast holds a whole batch of them in memory."""
    return _with_defaults(own, _sized({"cpu": "500m", "memory": "512Mi"}, {"cpu": "2", "memory": "4Gi"}))


def small() -> Resources:
    """What needs no Feast."""
    return _sized({"cpu": "100m", "memory": "256Mi"}, {"cpu": "1", "memory": "512Mi"})


def _sized(requests: dict[str, str | int], limits: dict[str, str | int]) -> Resources:
    return Resources(requests=requests, limits=limits)


def _with_defaults(own: Resources, usual: Resources) -> Resources:
    """A resource of which the project says anything is the project's alone: a usual limit may be below its request."""
    said = {*own.requests, *own.limits}
    requests = {name: value for name, value in usual.requests.items() if name not in said}
    limits = {name: value for name, value in usual.limits.items() if name not in said}
    return Resources(requests=requests | own.requests, limits=limits | own.limits)
