import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.record_file import RecordFile

HEADER = {"of": ("a", 1)}


def test_what_was_appended_is_read_again(tmp_path):
    path = tmp_path / "a.jsonl"
    written = RecordFile(path, HEADER)
    for number in (0.1, 1 / 3):
        written.append({"value": number})
    again = RecordFile(path, HEADER)
    assert list(again.records()) == list(written.records()) == [{"value": 0.1}, {"value": 1 / 3}]
    assert again.last == written.last == {"value": 1 / 3}


@pytest.mark.parametrize("left", [1, 5, 12])
def test_a_line_that_was_cut_is_dropped_and_the_file_goes_on(tmp_path, left):
    path = tmp_path / "a.jsonl"
    RecordFile(path, HEADER).append({"number": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"number":2}\n'[:left])
    again = RecordFile(path, HEADER)
    assert list(again.records()) == [{"number": 1}]
    again.append({"number": 2})
    assert path.read_bytes() == whole + b'{"number":2}\n'


def test_another_header_and_broken_lines_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    RecordFile(path, HEADER).append({"number": 1})
    with pytest.raises(EdgeSamError, match="another measurement"):
        RecordFile(path, {"of": "b"})
    path.write_bytes(path.read_bytes() + b'{"num\n{"number":3}\n')
    with pytest.raises(EdgeSamError, match=r"a.jsonl: line 3 is broken"):
        RecordFile(path, HEADER)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(EdgeSamError, match="cannot be read or written"):
        RecordFile(tmp_path / "nowhere" / "a.jsonl", HEADER)
