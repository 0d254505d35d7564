from benchmarks import average_precision


def test_the_interval_is_compared_with_one_draw():
    (row,) = average_precision.measure(images=4)
    assert "count AP of 4 images" in row.what and "1000 draws" in row.what
    assert row.baseline == "one draw" and row.value > 0


def test_some_masks_are_right():
    truth, found = average_precision._discs(6)
    counted = average_precision.coco_scoring.average_precision(truth, found, "coco")
    assert 0.02 < counted.numbers["AP"] < 0.9
