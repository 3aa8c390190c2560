"""Which entities are chosen, whatever batches their rows come in."""

from hypothesis import given
from hypothesis import strategies as st

from featureplane.parity.sample import Sample, share_of

NAMES = [b"%d" % number for number in range(500)]


def taken(times, size, seed=1, asked=(), batch=64):
    sample = Sample(size, seed, asked)
    keys = NAMES[: len(times)]
    for start in range(0, len(keys), batch):
        some, its = keys[start : start + batch], times[start : start + batch]
        sample.take(some, its, lambda places, some=some: [some[place].decode() for place in places])
    return sample.rows()


@given(st.lists(st.integers(0, 50), max_size=300), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(1, 80))
def test_a_sample_is_whole_and_the_same_in_every_batch(times, size, seed, batch):
    found = taken(times, size, seed)
    assert len(found) == min(size, len(times))
    assert all(row == key.decode() for key, row in found.items())
    assert found == taken(times, size, seed, batch=batch)
    newest = sorted(zip(times, NAMES, strict=False), reverse=True)[: share_of(size)]
    assert {key for _, key in newest} <= found.keys()


def test_another_seed_is_another_sample():
    times = [0] * 500
    assert taken(times, 40, 1).keys() != taken(times, 40, 2).keys()


def test_every_entity_is_as_likely_as_another():
    times = list(range(500))
    chosen = [key for seed in range(200) for key in taken(times, 20, seed)]
    old = [chosen.count(key) for key in NAMES[:400]]
    # 15 of 495 are left to chance in each of 200 samples: 6 times each.
    assert 4.5 < sum(old) / len(old) < 7.5
    assert max(old) < 30


def test_what_is_asked_for_is_among_them_where_it_is_at_all():
    asked = {b"3", b"77", b"not there"}
    found = taken([0] * 500, 20, asked=asked)
    assert found.keys() & asked == {b"3", b"77"}
    assert len(found) == 20


def test_only_rows_that_are_chosen_are_kept():
    sample = Sample(10, 1)
    for start in range(0, 500, 50):
        sample.take(NAMES[start : start + 50], [0] * 50, lambda places: places)
    assert len(sample._rows) <= 10 + share_of(10)  # noqa: SLF001 - memory is what it is for


def test_a_key_that_comes_again_counts_once():
    sample = Sample(10, 1)
    sample.take([b"a", b"a", b"b"], [1, 2, 3], lambda places: places)
    assert sample.rows() == {b"a": 0, b"b": 2}
