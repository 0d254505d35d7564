import torch

from benchmarks.mask_resolution import attainable_iou, main
from tests.synthetic import write_sa1b


def test_a_mask_of_whole_pixels_is_held_nearly_whole():
    truth = torch.zeros(256, 192)
    truth[64:128, 32:96] = 1
    shares, best = attainable_iou(truth, 256)
    assert shares > 0.95 and best >= shares


def test_what_is_smaller_than_a_pixel_is_lost_until_its_value_is_raised():
    truth = torch.zeros(256, 256)
    truth[101:103, 101:103] = 1  # a quarter of a pixel
    shares, best = attainable_iou(truth, 256)
    assert shares == 0 and best > 0.1
    assert attainable_iou(truth, 1024)[0] == 1


def test_the_table_has_a_row_a_size(tmp_path, capsys):
    main(["--data", str(write_sa1b(tmp_path, "val", 2)), "--image-size", "64", "256"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1].strip() for row in rows] == ["64 px", "256 px"]
    assert rows[0][2] == rows[1][2]
    assert 0.3 < float(rows[0][3]) < float(rows[1][3]) <= 1
