"""Rows of which a few fill the memory: batches are cut by bytes; real files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources_of_tests import a_view, at

from featureplane.materialization.readers.batching import of_size

ROWS, WIDTH = 20_000, 20_000
VIEW = a_view(keys=(("id", "Int64"),), features=(("text", "String"),))
# What it takes beyond what is loaded anyway, in MB; all rows would be 400 of one view, 800 of two.
RUNS = {
    "one": (200, "with folder.open(view) as reader: print(sum(b.num_rows for b in reader.batches()))"),
    "joined": (
        380,
        (
            "with test_joined.joined(folder, [view] * 2, memory_mb=192, held_bytes=64 << 20) as reader:\n"
            "    print(len(next(reader.batches())[0]))"
        ),
    ),
}
PROGRAM = """
import sys
from pathlib import Path
sys.path.append({tests!r})
from sources_of_tests import Folder
import test_joined
from test_wide_rows import VIEW as view
folder = Folder(Path({path!r}), batch_rows=5_000)
def peak():  # what getrusage says begins with the memory of the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
base = peak()
{run}
print((peak() - base) // 1024)
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A folder with a file of texts that are short in the file, one being as the other."""
    path = tmp_path_factory.mktemp("wide")
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int32)), pa.array(["x" * WIDTH]))
    times = pa.array([at(1)] * ROWS, pa.timestamp("us", tz="UTC"))
    table = pa.table({"id": np.arange(ROWS), "text": texts, "event_timestamp": times})
    pq.write_table(table, path / "prices.parquet", row_group_size=5_000)
    return path


@pytest.mark.parametrize("name", RUNS)
def test_memory_does_not_grow_with_the_width_of_rows(wide, name):
    most, run = RUNS[name]
    program = PROGRAM.format(tests=str(Path(__file__).parent), path=str(wide), run=run)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    rows, grown = map(int, ended.stdout.split())
    assert rows == ROWS if name == "one" else 0 < rows < 5_000
    assert grown < most


@given(st.lists(st.lists(st.integers(0, 300), max_size=20), max_size=5), st.integers(1, 12), st.integers(1, 900))
def test_batches_are_cut_by_rows_and_bytes(lengths, rows, size):
    numbers = iter(range(1000))
    whole = [
        pa.record_batch(
            {
                "n": pa.array([next(numbers) for _ in part], pa.int64()),
                "t": pa.array(["x" * n for n in part], pa.string()),
            }
        )
        for part in lengths
    ]
    cut = list(of_size(whole, rows, size))
    assert [row for batch in cut for row in batch.to_pylist()] == [row for batch in whole for row in batch.to_pylist()]
    assert all(0 < batch.num_rows <= rows for batch in cut)
    widest = max((n for part in lengths for n in part), default=0) + 8 + 16
    assert all(batch.nbytes < size + widest for batch in cut)
