import pytest

from edge_sam.data.image_list import choose_images
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
