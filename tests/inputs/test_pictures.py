import numpy as np
import pytest
from PIL import Image

from edge_sam.errors import EdgeSamError
from edge_sam.inputs.pictures import read_picture, read_pixels, rgb_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]


def test_an_array_is_taken_as_it_is():
    assert rgb_pixels(PIXELS) is PIXELS
    assert np.array_equal(rgb_pixels(PIXELS, "BGR"), PIXELS[..., ::-1])


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    assert np.array_equal(rgb_pixels(image), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("depth", ["uint16", "int32"])
def test_sixteen_bits_are_scaled_not_clipped(depth, tmp_path):
    deep = (GREY.astype(np.uint16) * 257).astype(depth)
    assert np.array_equal(rgb_pixels(Image.fromarray(deep)), np.stack([GREY] * 3, axis=-1))
    Image.fromarray(deep.astype(np.uint16)).save(tmp_path / "deep.png")
    assert np.array_equal(rgb_pixels(read_picture(tmp_path / "deep.png")), np.stack([GREY] * 3, axis=-1))


def test_colours_that_nobody_knows_are_refused():
    with pytest.raises(EdgeSamError, match="mode F has no certain colours"):
        rgb_pixels(Image.fromarray(GREY.astype(np.float32)))
    with pytest.raises(EdgeSamError, match="values outside of 16 bits"):
        rgb_pixels(Image.fromarray(np.full((2, 2), 70_000, np.int32)))
    with pytest.raises(EdgeSamError, match="image_format is 'RBG'"):
        rgb_pixels(PIXELS, "RBG")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_file_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "held.png", exif=exif)
    turned = {1: PIXELS, 2: PIXELS[:, ::-1], 3: PIXELS[::-1, ::-1], 4: PIXELS[::-1]}
    turned |= {
        5: PIXELS.swapaxes(0, 1),
        6: np.rot90(PIXELS, -1),
        7: np.rot90(PIXELS, 2).swapaxes(0, 1),
        8: np.rot90(PIXELS),
    }
    assert np.array_equal(rgb_pixels(read_picture(tmp_path / "held.png")), turned[orientation])


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage!", b"Exif\0\0II*\0"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_broken_exif_turns_nothing(exif, suffix, tmp_path):
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100} if suffix == ".jpg" else {}
    Image.fromarray(PIXELS).save(tmp_path / f"held{suffix}", exif=exif, **options)
    pixels = rgb_pixels(read_picture(tmp_path / f"held{suffix}"))
    assert pixels.shape == PIXELS.shape
    if suffix != ".jpg":
        assert np.array_equal(pixels, PIXELS)


def test_a_picture_whose_file_ends_early_is_refused(tmp_path):
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with (
        Image.open(tmp_path / "half.png") as image,
        pytest.raises(EdgeSamError, match=r"^image cannot be decoded \("),
    ):
        rgb_pixels(image)


@pytest.mark.parametrize(
    "image",
    [
        PIXELS / 255,
        PIXELS.astype(np.uint16),
        GREY,
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        PIXELS.tolist(),
        "truck.jpg",
    ],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(EdgeSamError, match=r"an image is a PIL image or an RGB array, uint8 \(H, W, 3\), not"):
        rgb_pixels(image)


def test_files_that_are_no_pictures_are_named(tmp_path, monkeypatch):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(PIXELS.repeat(20, 0).repeat(20, 1)).save(whole)
    (tmp_path / "half.jpg").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").touch()
    for name in ("half.jpg", "text.jpg", "empty.png"):
        with pytest.raises(EdgeSamError, match=rf"{name}: image cannot be decoded"):
            read_picture(tmp_path / name)
    for path, message in ((tmp_path, "is a folder, not a picture"), (tmp_path / "nothing.jpg", "no such file")):
        with pytest.raises(EdgeSamError, match=f"{path.name}: {message}"):
            read_picture(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(EdgeSamError, match="exceeds limit"):
        read_picture(whole)


def test_a_file_without_certain_colours_is_named(tmp_path):
    Image.new("F", (4, 3)).save(tmp_path / "depth.tiff")
    with pytest.raises(EdgeSamError, match=r"depth\.tiff: an image of Pillow's mode F has no certain colours"):
        read_pixels(tmp_path / "depth.tiff")
    Image.fromarray(PIXELS).save(tmp_path / "whole.png")
    assert np.array_equal(read_pixels(tmp_path / "whole.png"), PIXELS)
