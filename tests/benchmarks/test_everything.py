import numpy as np
from PIL import Image

from benchmarks import everything

SIZES = everything.Sizes(image_size=64, picture_side=80, points_per_side=4)


def test_the_definition_finds_what_the_generator_finds():
    generator = SIZES.generator()
    pixels = SIZES.read()[0]
    assert max(pixels.shape) == 80
    naive = everything.masks_by_definition(generator.model, pixels, generator)
    found = generator.generate(pixels)
    assert len(naive) == len(found) > 0
    assert np.diag(everything._ious(found, naive)).min() > 0.99


def test_modes_are_compared_in_one_run():
    rows = list(everything.measure(SIZES))
    assert [row.what.split(",")[1].strip() for row in rows] == ["plain", "sparing", "sparing"]
    assert [row.baseline for row in rows] == ["definition", "definition", "plain"]
    assert "AR of them 1.000" in rows[0].note


def test_pictures_of_a_folder_are_brought_to_the_size(tmp_path):
    Image.new("RGB", (300, 100)).save(tmp_path / "wide.png")
    pictures = everything.Sizes(images=tmp_path, picture_side=60).read()
    assert [picture.shape for picture in pictures] == [(20, 60, 3)]


def test_without_masks_there_is_nothing_to_compare():
    assert everything._agreement([np.zeros((0, 3))]) == "0 masks, 3 others"
    assert everything._agreement([np.eye(2)]) == "2 masks, 2 others: mean IoU of matches 1.0000, AR of them 1.000"
