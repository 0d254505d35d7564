import pytest

from edge_sam.demo.journal import Journal


def test_a_finished_command_is_known_and_another_is_not(tmp_path):
    journal = Journal(tmp_path / "new" / "steps.jsonl")
    assert not journal.has_finished("train a")
    with journal.timed("phase 1", "train a"):
        pass
    assert Journal(tmp_path / "new" / "steps.jsonl").has_finished("train a")
    assert not journal.has_finished("train b")


def test_a_failed_command_is_not_finished_but_its_time_counts(tmp_path, monkeypatch):
    clock = iter([0.0, 40.0, 100.0, 105.0])
    monkeypatch.setattr("edge_sam.demo.journal.time.monotonic", lambda: next(clock))
    journal = Journal(tmp_path / "steps.jsonl")
    journal.walk("train a")
    with pytest.raises(KeyboardInterrupt), journal.timed("phase 1", "train a"):
        raise KeyboardInterrupt
    assert not journal.has_finished("train a")
    assert journal.walked() == []
    with journal.timed("phase 1", "train a"):
        pass
    (entry,) = journal.walked()
    assert (entry.step, entry.seconds) == ("phase 1", 45.0)


def test_only_what_is_done_now_is_walked_in_its_order(tmp_path):
    journal = Journal(tmp_path / "steps.jsonl")
    for command in ("b", "a", "c"):
        with journal.timed(f"step {command}", command):
            pass
    again = Journal(tmp_path / "steps.jsonl")
    for command in ("a", "b", "a"):
        again.walk(command)
    assert [entry.command for entry in again.walked()] == ["a", "b"]


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path):
    journal = Journal(tmp_path / "steps.jsonl")
    with journal.timed("one", "a"):
        pass
    with (tmp_path / "steps.jsonl").open("a") as file:
        file.write('{"step": "two", "comm')
    assert journal.has_finished("a")
