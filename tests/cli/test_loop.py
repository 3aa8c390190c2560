"""What `up` waits for: files that changed and stand still, schedules that are due, a server that is gone."""

import os
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from featureplane.errors import FeatureplaneError, LocalStoreError
from featureplane.local import files, loop
from featureplane.model.feast_project import Schedule
from featureplane.settings import PostgresAddress, RedisAddress, Stores

MINUTE = timedelta(minutes=1)
EVERY_HOUR = Schedule(cron="5 * * * *", window=timedelta(hours=2))
RUNNING, ENDED = SimpleNamespace(is_running=True), SimpleNamespace(is_running=False)


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets, and a loop that waits no longer than it must."""
    clock = SimpleNamespace(now=datetime(2026, 3, 4, 10, 0, tzinfo=UTC))
    monkeypatch.setattr(loop, "now", lambda: clock.now)
    monkeypatch.setattr(loop, "_TICK_SECONDS", 0.001)
    return clock


def watched(folder):
    return loop.WatchedFiles(lambda: folder.glob("*.yaml"))


def stay():
    """Stores that do."""


def settle(files):
    """Look as often as a change needs to be noticed: once to see it, once to see it stand still."""
    return [files.changed(), files.changed()]


def test_files_that_stay_have_not_changed(tmp_path):
    (tmp_path / "a.yaml").write_text("1")
    assert settle(watched(tmp_path)) == [False, False]


@pytest.mark.parametrize("change", ["write", "replace", "add", "remove", "same size", "older"])
def test_a_change_is_noticed_once_and_only_when_it_stands_still(tmp_path, change):
    file = tmp_path / "a.yaml"
    file.write_text("1")
    os.utime(file, (1000, 1000))
    found = watched(tmp_path)
    match change:
        case "write" | "same size":
            file.write_text("22" if change == "write" else "2")
        case "replace":  # as editors do it
            other = tmp_path / "draft"
            other.write_text("1")
            os.utime(other, (1000, 1000))
            other.replace(file)
        case "add":
            (tmp_path / "b.yaml").write_text("")
        case "remove":
            file.unlink()
        case "older":  # as a checkout of an earlier state may be
            os.utime(file, (10, 10))
    assert settle(found) == [False, True]
    assert settle(found) == [False, False]


def test_a_file_that_still_grows_is_waited_for(tmp_path):
    found = watched(tmp_path)
    for size in range(1, 5):
        (tmp_path / "a.yaml").write_text("x" * size)
        assert not found.changed()
    assert found.changed()


def test_a_change_between_the_look_and_the_reading_is_noticed_later(tmp_path):
    (tmp_path / "a.yaml").write_text("1")
    found = watched(tmp_path)
    (tmp_path / "a.yaml").write_text("22")
    assert settle(found) == [False, True]
    (tmp_path / "a.yaml").write_text("333")  # the reader is reading
    assert settle(found) == [False, True]


def test_a_folder_that_goes_and_comes_back_is_still_watched(tmp_path):
    folder = tmp_path / "views"
    folder.mkdir()
    (folder / "a.yaml").write_text("1")
    found = loop.WatchedFiles(lambda: folder.glob("*.yaml") if folder.exists() else [])
    (folder / "a.yaml").unlink()
    folder.rmdir()
    assert settle(found) == [False, True]
    folder.mkdir()
    (folder / "a.yaml").write_text("1")
    assert settle(found) == [False, True]


def test_files_are_read_again_after_a_while_and_told_from_changed_ones(tmp_path, clock):
    (tmp_path / "a.yaml").write_text("1")
    found = watched(tmp_path)
    found.read_again()
    assert settle(found) == [False, False]
    clock.now += MINUTE
    assert (found.changed(), found.is_again, found.changed()) == (True, True, False)
    (tmp_path / "a.yaml").write_text("22")
    assert (settle(found), found.is_again) == ([False, True], False)


def test_a_changed_file_is_an_event(tmp_path, clock):
    found = loop.events(watched(tmp_path), dict, RUNNING, stay)
    (tmp_path / "a.yaml").write_text("1")
    assert next(found) == loop.Event()


def test_a_schedule_is_an_event_each_time_it_is_due_and_once_after_a_long_sleep(tmp_path, clock):
    stop = threading.Event()
    events = loop.events(watched(tmp_path), Schedules(clock, stop), RUNNING, stay, stop)
    assert [(event.schedule, clock.now.strftime("%H:%M")) for event in events] == [
        ("hourly", "10:05"),
        ("hourly", "11:05"),
        ("hourly", "15:00"),
        ("hourly", "15:05"),
    ]


class Schedules:
    """Asked at every turn of the loop: time passes by the minute, and from 12:00 to 15:00 the machine sleeps."""

    def __init__(self, clock, stop):
        self.clock, self.stop = clock, stop

    def __call__(self):
        self.clock.now += MINUTE
        if self.clock.now.hour == 12:
            self.clock.now = self.clock.now.replace(hour=15)
        if self.clock.now.hour == 16:
            self.stop.set()
        return {"hourly": EVERY_HOUR}


def test_a_schedule_that_changes_or_comes_later_is_heeded(clock):
    clocks = {}
    often = Schedule(cron="*/2 * * * *", window=timedelta(hours=1))
    assert loop.due_schedules({"hourly": EVERY_HOUR}, clocks) == []
    clock.now += MINUTE
    assert loop.due_schedules({"hourly": often, "new": often}, clocks) == []
    clock.now += MINUTE
    assert loop.due_schedules({"hourly": often, "new": often}, clocks) == ["hourly", "new"]
    assert loop.due_schedules({"hourly": often, "new": often}, clocks) == []


def test_a_server_that_ends_by_itself_is_the_end(tmp_path, clock):
    with pytest.raises(FeatureplaneError, match="the server ended by itself; start featureplane up again"):
        next(loop.events(watched(tmp_path), dict, ENDED, stay))


def test_stores_that_end_are_the_end(tmp_path, clock):
    def must_stay():
        raise LocalStoreError("Redis ended")

    with pytest.raises(LocalStoreError, match="Redis ended"):
        next(loop.events(watched(tmp_path), dict, RUNNING, must_stay))


def test_the_environment_file_is_for_its_owner_and_for_a_shell(tmp_path):
    stores = Stores(PostgresAddress({"host": "/a b/$c", "password": "it's"}), RedisAddress(password="`x`"))
    loop.write_environment(tmp_path / "env", stores)
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
    lines = (tmp_path / "env").read_text().splitlines()
    assert "export PGHOST='/a b/$c'" in lines
    assert "export FEATUREPLANE_REDIS_PASSWORD='`x`'" in lines
    assert """export PGPASSWORD='it'"'"'s'""" in lines


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    for text in ("first", "second"):
        files.write_folder(tmp_path, {"sub/a.txt": text})
        assert (tmp_path / "sub" / "a.txt").read_text() == text
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.txt"]
    assert (tmp_path / "sub" / "a.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_file_where_a_folder_must_be_is_named(tmp_path, folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(FeatureplaneError, match="is not a folder, or something in it is not"):
        files.write_folder(tmp_path / folder, {"a.txt": ""})
