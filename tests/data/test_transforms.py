"""Decoding and resizing against the float path of the golden arrays, and against broken files."""

import contextlib
import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.transforms import decode_image, pad_images, resize_image, resized_size, scale_boxes, scale_points

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def encode(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(height: int = 40, width: int = 60, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_image_is_within_a_grey_level_of_the_golden(golden, shared):
    arrays = golden("training")
    image = resize_image(decode_image(shared("images", str(arrays["pre_file"])).read_bytes()), 1024)
    assert tuple(image.shape) == tuple(arrays["pre_size"])
    padded = torch.zeros(3, 1024, 1024)
    padded[:, : image.shape[1], : image.shape[2]] = (image - MEAN) / STD
    grey_levels = (padded[:, ::16, ::16] - torch.from_numpy(arrays["pre_image"])) * STD
    assert grey_levels.abs().max() <= 1
    mean, std, largest, squares = arrays["pre_image_stats"]
    assert padded.mean().item() == pytest.approx(mean, abs=1e-3)
    assert padded.std().item() == pytest.approx(std, abs=1e-3)
    assert padded.abs().max().item() == pytest.approx(largest, abs=1 / 57)
    assert padded.double().square().sum().item() == pytest.approx(squares, rel=1e-3)


def test_coordinates_are_those_of_the_golden(golden, shared):
    arrays = golden("training")
    width, height = Image.open(shared("images", str(arrays["pre_file"]))).size
    size = resized_size(height, width, 1024)
    corner, extent = np.split(arrays["pre_in_boxes_xywh"], 2, axis=1)
    boxes = scale_boxes(np.hstack([corner, corner + extent]), (height, width), size)
    np.testing.assert_allclose(boxes, arrays["pre_box"], atol=1e-4)
    points = scale_points(arrays["pre_in_points"], (height, width), size)
    np.testing.assert_allclose(points, arrays["pre_point"], atol=1e-4)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([256, 320, 512, 1024]))
def test_longest_side_becomes_image_size(height, width, image_size):
    resized = resized_size(height, width, image_size)
    assert max(resized) == image_size
    assert min(resized) >= 1
    scale = image_size / max(height, width)
    assert all(abs(new - max(old * scale, 1)) <= 0.5 + 1e-9 for new, old in zip(resized, (height, width), strict=True))


def test_array_and_picture_resize_alike():
    image = picture()
    resized = resize_image(image, 32)
    assert resized.shape == (3, 21, 32)
    assert resized.dtype == torch.uint8
    assert resized.is_contiguous()
    assert torch.equal(resized, resize_image(np.array(image), 32))


def test_camera_orientation_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert decode_image(encode(picture(40, 60), exif=exif)).size == (60, 40)


@pytest.mark.parametrize("mode", ["L", "CMYK", "1", "P", "LA", "RGBA"])
def test_other_colours_become_rgb(mode):
    image = picture().convert(mode)
    decoded = decode_image(encode(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert decoded.mode == "RGB"
    if mode in "L1":
        assert np.ptp(np.array(decoded), axis=2).max() == 0


def test_deep_pictures_are_refused():
    with pytest.raises(BrokenSample, match="8 bits"):
        decode_image(encode(Image.fromarray(np.full((8, 8), 4000, np.uint16)), "PNG"))


def test_what_is_no_image_is_told_alike_in_every_run():
    with pytest.raises(BrokenSample, match=r"^image cannot be decoded \(not a kind that Pillow can read\)$"):
        decode_image(b"no image")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.9])
def test_truncated_files_are_refused(kind, keep):
    content = encode(picture(), kind)
    with pytest.raises(BrokenSample, match="cannot be decoded"):
        decode_image(content[: int(len(content) * keep) if keep < 1 else int(keep)])


@given(st.binary(max_size=64), st.integers(0, 400))
def test_damaged_png_is_decoded_or_refused(noise, position):
    content = bytearray(encode(picture(6, 6), "PNG"))
    content[position : position + len(noise)] = noise
    with contextlib.suppress(BrokenSample):
        assert decode_image(bytes(content)).mode == "RGB"


def test_padding_is_at_the_right_and_at_the_bottom():
    pictures = [torch.full((3, 48, 64), 7, dtype=torch.uint8), torch.full((3, 64, 1), 9, dtype=torch.uint8)]
    padded, sizes = pad_images(pictures, 64)
    assert padded.shape == (2, 3, 64, 64) and padded.dtype == torch.uint8
    assert sizes.tolist() == [[48, 64], [64, 1]] and sizes.dtype == torch.int64
    assert torch.equal(padded[0, :, :48], pictures[0]) and not padded[0, :, 48:].any()
    assert torch.equal(padded[1, :, :, :1], pictures[1]) and not padded[1, :, :, 1:].any()
    nothing, no_sizes = pad_images([], 64)
    assert nothing.shape == (0, 3, 64, 64) and no_sizes.shape == (0, 2)
