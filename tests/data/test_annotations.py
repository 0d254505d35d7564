"""Annotation files: the three forms of masks, and everything that may be wrong with them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from edge_sam.data.annotations import BrokenSample, parse_annotations

HEIGHT, WIDTH = 20, 30
MASK = np.zeros((HEIGHT, WIDTH), np.uint8)
MASK[5:12, 8:20] = 1


def compressed(mask: np.ndarray = MASK) -> dict:
    rle = mask_utils.encode(np.asfortranarray(mask))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def uncompressed(mask: np.ndarray = MASK) -> dict:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    return {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()}


def annotation(**changes) -> dict:
    sound = {
        "id": 7, "segmentation": compressed(), "bbox": [8, 5, 12, 7], "area": 84,
        "point_coords": [[10.5, 6.25]], "predicted_iou": 1.0, "stability_score": 1.0,
    }  # fmt: skip
    return {name: value for name, value in (sound | changes).items() if value is not ...}


def content(*annotations, **image) -> bytes:
    image = {"image_id": 3, "width": WIDTH, "height": HEIGHT, "file_name": "sa_3.jpg"} | image
    return json.dumps({"image": image, "annotations": list(annotations)}).encode()


def test_fields():
    parsed = parse_annotations(content(annotation()))
    assert (parsed.file_name, parsed.width, parsed.height) == ("sa_3.jpg", WIDTH, HEIGHT)
    assert parsed.refused == []
    (found,) = parsed.annotations
    assert found.box_xyxy.tolist() == [8, 5, 20, 12]
    assert found.point.tolist() == [10.5, 6.25]
    assert found.area == 84
    assert found.size == (HEIGHT, WIDTH)
    assert found.name == 7


@pytest.mark.parametrize("missing", [..., None, True, 7.5])
def test_an_annotation_without_an_id_is_called_by_its_place_in_the_file(missing):
    parsed = parse_annotations(content(annotation(id="a7"), annotation(area=-1), annotation(id=missing)))
    assert [one.name for one in parsed.annotations] == ["a7", "at position 2"]
    assert parsed.refused[0].startswith("annotation 7: area")


@pytest.mark.parametrize("form", [compressed, uncompressed])
def test_run_lengths_decode(form):
    (found,) = parse_annotations(content(annotation(segmentation=form()))).annotations
    assert np.array_equal(found.decode(), MASK)
    assert isinstance(found.rle["counts"], str | bytes)


def test_polygons_decode():
    halves = [[8, 5, 14, 5, 14, 12, 8, 12], [14, 5, 20, 5, 20, 12, 14, 12]]
    (found,) = parse_annotations(content(annotation(segmentation=halves))).annotations
    assert np.array_equal(found.decode(), MASK)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_any_mask_decodes_from_both_forms(height, width, seed):
    mask = np.random.default_rng(seed).integers(0, 2, (height, width)).astype(np.uint8)
    mask[-1, -1] = 1
    box = [0, 0, width, height]
    entries = [
        annotation(segmentation=form(mask), bbox=box, point_coords=[[0, 0]]) for form in (compressed, uncompressed)
    ]
    for found in parse_annotations(content(*entries, width=width, height=height)).annotations:
        assert np.array_equal(found.decode(), mask)
        crop, top, left = found.decode_crop()
        assert crop[[0, -1]].any(axis=1).all() and crop[:, [0, -1]].any(axis=0).all(), "no empty border"
        whole = np.zeros_like(mask)
        whole[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
        assert np.array_equal(whole, mask)


def test_box_just_over_the_edge_is_clipped():
    (found,) = parse_annotations(content(annotation(bbox=[-0.5, 5, 31, 15.7]))).annotations
    assert found.box_xyxy.tolist() == [0, 5, 30, 20]


WRONG = {
    "not a mapping": (..., "is not a mapping"),
    "no segmentation": ({"segmentation": ...}, "neither run lengths nor polygons"),
    "counts of no kind": ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": 5}}, "neither run lengths"),
    "size turned": ({"segmentation": compressed() | {"size": [WIDTH, HEIGHT]}}, r"size \[30, 20\], the image of"),
    "counts of another size": (
        {"segmentation": compressed(np.ones((4, 4), np.uint8)) | {"size": [HEIGHT, WIDTH]}},
        "cover 16 pixels, the image has 600",
    ),
    "uncompressed of another size": ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [2, 3]}}, "cover 5 pixels"),
    "malformed": ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": "\ud800"}}, "malformed"),
    "negative run": ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [-1, 601]}}, "malformed"),
    "empty mask": ({"segmentation": compressed(np.zeros_like(MASK))}, "mask is empty"),
    "polygon without a pixel": ({"segmentation": [[5, 5, 9, 5, 9, 5.1], [3, 3, 3, 3, 3, 3]]}, "mask is empty"),
    "no polygon": ({"segmentation": []}, "no polygon"),
    "two corners": ({"segmentation": [[1, 2, 3, 4]]}, "three x, y pairs"),
    "odd polygon": ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "three x, y pairs"),
    "polygon of text": ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "three x, y pairs"),
    "polygon outside": ({"segmentation": [[1, 2, 3, 4, 5, 60]]}, "out of the picture"),
    "no box": ({"bbox": ...}, "bbox is None"),
    "box of three": ({"bbox": [1, 2, 3]}, "not four numbers"),
    "box not a number": ({"bbox": [1, 2, 3, float("nan")]}, "not four numbers"),
    "box beyond all": ({"bbox": [1, 2, 3, 10**400]}, "not four numbers"),
    "box outside": ({"bbox": [25, 5, 12, 7]}, "outside of the picture"),
    "box far outside": ({"bbox": [-50, 5, 12, 7]}, "outside of the picture"),
    "box without width": ({"bbox": [8, 5, 0, 7]}, "has no area"),
    "box of negative height": ({"bbox": [8, 12, 12, -7]}, "has no area"),
    "no point": ({"point_coords": ...}, "point_coords is None"),
    "flat point": ({"point_coords": [1, 2]}, "not \\[\\[x, y\\]\\]"),
    "infinite point": ({"point_coords": [[1, float("inf")]]}, "not \\[\\[x, y\\]\\]"),
    "point outside": ({"point_coords": [[31, 2]]}, "outside of the picture"),
    "no area": ({"area": ...}, "area is None"),
    "negative area": ({"area": -4}, "not a positive number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_annotation_is_left_out_and_told(name):
    changes, reason = WRONG[name]
    wrong = 5 if changes is ... else annotation(id=99, **changes)
    label = "at position 1" if changes is ... else "99"
    parsed = parse_annotations(content(annotation(), wrong, annotation(id=8)))
    assert len(parsed.annotations) == 2
    (told,) = parsed.refused
    assert told.startswith(f"annotation {label}: ")
    with pytest.raises(BrokenSample, match=reason):
        parse_annotations(content(wrong))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not JSON"),
        (content(annotation())[:-20], "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", 'no "image"'),
        (b'{"image": {"width": 3, "height": 3}}', 'no "image"'),
        (content(), "empty list"),
        (content(annotation(), width=None), "width None"),
        (content(annotation(), height=0), "height 0"),
        (content(annotation(), height="20"), "height '20'"),
    ],
)
def test_broken_file_is_refused(text, reason):
    with pytest.raises(BrokenSample, match=reason):
        parse_annotations(text)


def test_real_annotations_are_sound(shared):
    for path in sorted(shared("realdata", "SA-1B", "annotations", "val").iterdir()):
        parsed = parse_annotations(path.read_bytes())
        assert parsed.refused == []
        assert parsed.file_name == f"{path.stem}.jpg"
        for found in parsed.annotations[:3]:
            mask = found.decode()
            assert mask.shape == (parsed.height, parsed.width)
            assert mask.sum() == found.area
