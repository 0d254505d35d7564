import errno
import fcntl
import multiprocessing

import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.exclusive_lock import exclusive_lock
from tests.lock_holder import held_by_another_process


def test_another_process_is_refused_until_the_first_is_gone(tmp_path):
    with held_by_another_process(tmp_path / "lock") as holder:
        with pytest.raises(EdgeSamError, match="busy"), exclusive_lock(tmp_path / "lock", "busy"):
            pytest.fail("two at once")
        holder.kill()
        holder.wait()
        with exclusive_lock(tmp_path / "lock", "busy"):
            pass


def take(file, outcome):
    try:
        with exclusive_lock(file, "busy"):
            outcome.put("taken")
    except EdgeSamError as error:
        outcome.put(str(error))


def ask_another_process(file):
    context = multiprocessing.get_context("spawn")
    outcome = context.SimpleQueue()
    process = context.Process(target=take, args=(file, outcome))
    process.start()
    process.join()
    return outcome.get()


def test_it_holds_while_the_body_runs_and_no_longer(tmp_path):
    file = tmp_path / "lock"
    with exclusive_lock(file, "busy"):
        assert ask_another_process(file) == "busy"
    with pytest.raises(KeyError), exclusive_lock(file, "busy"):
        raise KeyError
    assert ask_another_process(file) == "taken"


def test_a_child_that_outlives_the_holder_keeps_nobody_out(tmp_path):
    file = tmp_path / "lock"
    finish = multiprocessing.get_context("fork").Event()
    child = multiprocessing.get_context("fork").Process(target=finish.wait)
    with exclusive_lock(file, "busy"):
        child.start()
    try:
        assert ask_another_process(file) == "taken"
    finally:
        finish.set()
        child.join()


def test_file_systems_without_locks_are_used_without(tmp_path, monkeypatch):
    def no_locks(number):
        def fail(*arguments):
            raise OSError(number, "no")

        return fail

    monkeypatch.setattr(fcntl, "lockf", no_locks(errno.ENOLCK))
    with exclusive_lock(tmp_path / "lock", "busy"):
        pass
    monkeypatch.setattr(fcntl, "lockf", no_locks(errno.EIO))
    with pytest.raises(OSError, match="no"), exclusive_lock(tmp_path / "lock", "busy"):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with (
        pytest.raises(EdgeSamError, match=r"nowhere/lock: cannot be written \(No such file"),
        exclusive_lock(tmp_path / "nowhere" / "lock", "busy"),
    ):
        pass
