import pytest

from edge_sam.data.image_list import choose_images, read_image_list, write_image_list
from edge_sam.errors import EdgeSamError

NAMES = ("a", "b", "c", "d")


def test_the_first_so_many_or_those_of_a_list():
    assert choose_images(NAMES, -1) == NAMES and choose_images(NAMES, 2) == ("a", "b")
    assert choose_images(NAMES, 9) == NAMES
    assert choose_images(NAMES, 1, ["d", "b"]) == ("b", "d"), "a list says alone which, but not their order"


@pytest.mark.parametrize("number", [0, -2])
def test_other_numbers_are_errors(number):
    with pytest.raises(EdgeSamError, match=f"number of samples is {number}"):
        choose_images(NAMES, number)


def test_listed_images_must_be_there():
    with pytest.raises(EdgeSamError, match=r"the folder: lacks 2 of the 3 listed images, e\.g\. x"):
        choose_images(NAMES, -1, ["z", "a", "x"], "the folder")


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "new" / "list.txt"
    write_image_list(file, NAMES)
    assert read_image_list(file) == NAMES
    file.write_text("b\n\n  a \r\n")
    assert read_image_list(file) == ("b", "a")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "names no image"), (b"a\nb\na\n", "names a twice"), (b"\xff\xfe", "not a list of names")],
)
def test_broken_lists_are_told(tmp_path, content, said):
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    with pytest.raises(EdgeSamError, match=said):
        read_image_list(file)
    with pytest.raises(EdgeSamError, match="cannot be read"):
        read_image_list(tmp_path)
