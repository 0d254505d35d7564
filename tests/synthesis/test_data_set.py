import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from edge_sam.cli import main
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.errors import EdgeSamError
from edge_sam.synthesis.data_set import write_data_set
from edge_sam.synthesis.scene import draw_scene

SIZE = 160


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_data_set(folder, 4, seed=5, size=SIZE)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_annotations_are_exactly_the_masks_of_the_scene(root):
    for index in range(4):
        scene = draw_scene(5, index, SIZE)
        tree = json.loads((root / "annotations" / "train" / f"synth_5_{index:06d}.json").read_text())
        height, width = scene.image.shape[:2]
        image = {"image_id": index, "file_name": f"synth_5_{index:06d}.jpg", "width": width, "height": height}
        assert tree["image"] == image
        assert len(tree["annotations"]) == len(scene.masks)
        for entry, mask in zip(tree["annotations"], scene.masks, strict=True):
            assert np.array_equal(mask_utils.decode(entry["segmentation"]), mask)
            assert entry["area"] == mask.sum()
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert entry["bbox"] == [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
            ((x, y),) = entry["point_coords"]
            assert mask[y, x]
            assert (entry["predicted_iou"], entry["stability_score"]) == (1.0, 1.0)
            assert entry["crop_box"] == [0, 0, width, height]


def test_pictures_are_those_of_the_scene_but_for_jpeg(root):
    scene = draw_scene(5, 0, SIZE)
    stored = np.asarray(Image.open(root / "images" / "train" / "synth_5_000000.jpg"))
    assert stored.shape == scene.image.shape
    assert np.abs(stored.astype(int) - scene.image).mean() < 12


def test_the_layout_is_read_without_a_complaint(root):
    dataset = Sa1bDataset(root, "train", 128, max_annotations=64)
    samples = [dataset[index] for index in range(len(dataset))]
    assert len(samples) == 4
    assert not [refusal for sample in samples for refusal in sample.refusals]
    assert min(len(sample.boxes) for sample in samples) >= 10


def test_processes_write_the_same_files(root, tmp_path):
    write_data_set(tmp_path, 4, seed=5, size=SIZE, workers=2)
    assert contents(tmp_path) == contents(root)


def test_a_second_run_draws_only_what_is_missing(root, tmp_path):
    write_data_set(tmp_path, 2, seed=5, size=SIZE)
    kept = tmp_path / "images" / "train" / "synth_5_000000.jpg"
    kept.write_bytes(b"kept as it is")
    (tmp_path / "annotations" / "train" / "synth_5_000001.json").unlink()
    (tmp_path / "images" / "train" / "synth_5_000001.jpg").write_bytes(b"half of a picture")
    write_data_set(tmp_path, 4, seed=5, size=SIZE)
    assert kept.read_bytes() == b"kept as it is"
    kept.unlink()
    write_data_set(tmp_path, 4, seed=5, size=SIZE)
    assert contents(tmp_path) == contents(root)


def test_the_command_draws_another_split(tmp_path, capsys):
    arguments = ["synth", "--images", "2", "--seed", "9", "--out", str(tmp_path), "--size", "128", "--split", "val"]
    main([*arguments, "--workers", "1"])
    assert "2/2" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "images" / "val").iterdir()) == [
        "synth_9_000000.jpg",
        "synth_9_000001.jpg",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": 0}, "--images 0"),
        ({"seed": -1}, "--seed -1"),
        ({"size": 64}, "--size 64"),
        ({"size": 5000}, "from 128 to 2048"),
        ({"workers": 0}, "--workers 0"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, settings, message):
    with pytest.raises(EdgeSamError, match=message):
        write_data_set(tmp_path / "out", **{"images": 1, "seed": 0, **settings})
    assert not (tmp_path / "out").exists()


def test_sizes_are_not_mixed(root):
    before = contents(root)
    with pytest.raises(EdgeSamError, match=r"160 pixels long, but --size is 200"):
        write_data_set(root, 6, seed=5, size=200)
    assert contents(root) == before


def test_splits_do_not_share_a_seed(root):
    before = contents(root)
    with pytest.raises(EdgeSamError, match=r"images/train: holds the pictures of --seed 5; val needs another seed"):
        write_data_set(root, 1, seed=5, size=SIZE, split="val")
    assert contents(root) == before and not (root / "images" / "val").exists()


def test_a_foreign_annotation_file_is_named(tmp_path):
    write_data_set(tmp_path, 1, seed=1, size=128)
    broken = tmp_path / "annotations" / "train" / "synth_1_000000.json"
    broken.write_text('{"image":')
    with pytest.raises(EdgeSamError, match=r"synth_1_000000\.json"):
        write_data_set(tmp_path, 1, seed=1, size=128)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EdgeSamError, match="cannot be written"):
        write_data_set(tmp_path / "file", 1, seed=1, size=128)
