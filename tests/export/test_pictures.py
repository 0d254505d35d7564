"""Which pictures of a folder an export is compared on."""

import numpy as np
import pytest
from PIL import Image

from edge_sam.errors import EdgeSamError
from edge_sam.export.pictures import read_pictures


def write(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade,) * 3).save(path)


def shades(pictures):
    return [int(picture[0, 0, 0]) for picture in pictures]


def test_they_are_spread_over_the_names(tmp_path):
    for number in range(10):
        write(tmp_path / f"{number // 5}" / f"{number}.png", number)
    assert shades(read_pictures(tmp_path, 4)) == [0, 2, 5, 7]
    assert shades(read_pictures(tmp_path, 99)) == list(range(10))


def test_the_next_one_stands_in_for_a_broken_one(tmp_path, capsys):
    for number in range(6):
        write(tmp_path / f"{number}.png", number)
    for number in (2, 4, 5):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    assert shades(read_pictures(tmp_path, 3)) == [0, 3]
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in said] == [["passed over", str(tmp_path / f"{n}.png")] for n in (2, 4, 5)]


def test_hidden_files_and_earlier_overlays_are_no_photographs(tmp_path, capsys):
    write(tmp_path / "a.png", 1)
    write(tmp_path / "overlays" / "b.png", 2)  # somebody's own folder of that name
    write(tmp_path / "everything" / "overlays" / "a.png.jpg", 3)
    (tmp_path / "everything" / "annotations.json").write_text("{}")
    write(tmp_path / ".thumbnails" / "a.png", 4)
    (tmp_path / "._a.png").write_bytes(b"of a Mac")
    assert shades(read_pictures(tmp_path, 9)) == [1, 2]
    assert not capsys.readouterr().out


def test_a_hidden_folder_that_was_asked_for_is_read(tmp_path):
    write(tmp_path / ".photographs" / "a.png", 1)
    assert np.array_equal(read_pictures(tmp_path / ".photographs", 1)[0], np.ones((4, 4, 3), np.uint8))


def test_not_one_picture_is_an_error(tmp_path):
    with pytest.raises(EdgeSamError, match="nothing: no such folder of pictures"):
        read_pictures(tmp_path / "nothing", 1)
    with pytest.raises(EdgeSamError, match=r"no picture in it \(\.bmp"):
        read_pictures(tmp_path, 1)
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(EdgeSamError, match="no picture that can be read"):
        read_pictures(tmp_path, 1)
