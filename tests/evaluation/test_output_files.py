from pathlib import Path

import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.output_files import check_writable, default_output


def test_what_is_unusual_has_a_file_of_its_own():
    assert default_output("a/b.c.pth", "box", "mIoU", {}) == Path("a/b.c.box.mIoU.json")
    assert default_output("a/b.safetensors", "box", "mIoU", {}) == Path("a/b.safetensors.box.mIoU.json")
    choices = ({"seed": 1}, {"seed": 2}, {"num_samples": 1}, {"num_samples": 1, "seed": 1})
    names = [default_output("a/b.pth", "box", "mIoU", choice).name for choice in choices]
    assert len(set(names)) == len(choices) and all(name.startswith("b.box_") for name in names)
    assert default_output("a/b.pth", "box", "mIoU", {"seed": 1, "num_samples": 1}).name == names[-1], "in any order"


def test_a_place_that_cannot_be_written_is_told_with_the_option(tmp_path):
    check_writable(tmp_path / "new" / "result.json")
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "result.json"):
        with pytest.raises(EdgeSamError, match="cannot be written; give another place with --output"):
            check_writable(path)
