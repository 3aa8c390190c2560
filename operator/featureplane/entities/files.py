"""The entities of a file, as keys in Redis."""

from collections.abc import Iterator

from featureplane.materialization.encoding.keys import encode_keys
from featureplane.online.layout import Keys
from featureplane.training.entity_files import EntityFile
from featureplane.training.moments import BATCH_ROWS, EntityColumns, entities, look_at


def check_entities(file: EntityFile, keys: Keys) -> None:
    """Raises InputError with every row that no entity with these join keys can have."""
    look_at(file, EntityColumns(dict(keys)))


def keys_in(file: EntityFile, keys: Keys, project: str) -> Iterator[bytes]:
    """The key of each row's hash. Raises as `check_entities`, and FeatureplaneError where the file was changed."""
    columns = EntityColumns(dict(keys))
    # Texts of a CSV are read by the types of the join keys, which may be others for another view.
    look_at(file, columns)
    for _, _, values in entities(file, columns, BATCH_ROWS):
        yield from encode_keys(dict(values), keys, project).to_pylist()
    file.check()
