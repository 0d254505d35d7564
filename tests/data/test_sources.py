"""Folders and tars as sources of images: what is found, in which order, and what is told when nothing is."""

import pickle
from pathlib import Path

import pytest
import torch

from edge_sam.data.annotations import BrokenSample
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.data.sources import PUBLISHED_SUBSET, FolderSource, TarSource, open_source, read_name_list
from edge_sam.errors import EdgeSamError
from tests.data.tar_files import sa1b_members, write_tar

REPOSITORY = Path(__file__).parents[2]


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())


@pytest.fixture
def root(tmp_path) -> Path:
    touch(tmp_path / "images" / "val", "b.jpg", "a.JPEG", "c.png", "lonely.jpg", "notes.txt", ".hidden.jpg", "10.jpg")
    touch(tmp_path / "annotations" / "val", "c.json", "b.json", "a.json", "10.json", "other.json", "b.txt")
    return tmp_path


def test_folder(root):
    source = open_source(root, "val")
    assert isinstance(source, FolderSource)
    assert source.ids == ("10", "a", "b", "c")
    assert source.image_ids == ("10", "a", "b", "c", "lonely")
    assert source.pictureless_ids == ("other",)
    assert source.read_image_bytes("a") == b"a.JPEG"
    assert source.read_annotation_bytes("a") == b"a.json"
    images = open_source(root, "val", with_annotations=False)
    assert images.ids == images.image_ids == source.image_ids and images.pictureless_ids == ()
    (root / "images" / "val" / "b.jpg").unlink()
    with pytest.raises(BrokenSample, match=r"b\.jpg cannot be read \(No such file"):
        source.read_image_bytes("b")


def test_what_is_missing_is_named(root, tmp_path_factory):
    with pytest.raises(EdgeSamError, match=r"nowhere: no such folder.*images/train/"):
        open_source(root / "nowhere", "train")
    with pytest.raises(EdgeSamError, match="images/train: cannot be listed"):
        open_source(root, "train")
    touch(root / "images" / "train", "a.txt")
    with pytest.raises(EdgeSamError, match=r"annotations/train: no such folder; it should hold the masks"):
        open_source(root, "train")
    touch(root / "annotations" / "train")
    with pytest.raises(EdgeSamError, match="images/train: holds no image"):
        open_source(root, "train")
    touch(root / "images" / "train", "sa_1.jpg")
    with pytest.raises(EdgeSamError, match=r"e\.g\. sa_1\.jpg.*annotations/train \(which holds no annotation"):
        open_source(root, "train")
    touch(root / "annotations" / "train", "sa_2.json")
    with pytest.raises(EdgeSamError, match=r"images/train.*sa_1\.jpg.*annotations/train \(e\.g\. sa_2\.json\)"):
        open_source(root, "train")
    with pytest.raises(EdgeSamError, match="neither images/train/ nor tars"):
        open_source(tmp_path_factory.mktemp("empty"), "train")


def test_two_images_of_one_name(root):
    touch(root / "images" / "val", "b.png")
    with pytest.raises(EdgeSamError, match=r"b\.(jpg|png) and b\.(jpg|png) are of one name"):
        open_source(root, "val")


@pytest.fixture
def tars(tmp_path) -> Path:
    folder = tmp_path / "tars"
    members = sa1b_members(tmp_path / "laid_out", 4, seed=1)
    write_tar(folder / "sa_000001.tar", members[:4])
    write_tar(folder / "sa_000002.tar", members[4:])
    return folder


def test_tars_are_read_as_the_folder_is(tars, tmp_path):
    (tars / "train").symlink_to(tars)
    from_tars = Sa1bDataset(tars, "train", 64, clicks=2, max_annotations=2)
    from_folder = Sa1bDataset(tmp_path / "laid_out", "train", 64, clicks=2, max_annotations=2)
    assert isinstance(from_tars._source, TarSource)
    assert from_tars.ids == from_folder.ids
    copy = pickle.loads(pickle.dumps(from_tars))
    for index in range(4):
        a, b, c = from_tars[index], from_folder[index], copy[index]
        assert torch.equal(a.image, b.image) and torch.equal(a.boxes, b.boxes) and torch.equal(a.noise, b.noise)
        assert torch.equal(a.image, c.image)
        assert a.refusals == ()


def test_which_tars_make_a_split(tars, tmp_path):
    with pytest.raises(EdgeSamError, match=r"10 of the 10 tars of the train split are missing \(e\.g\. sa_000020\.tar"):
        open_source(tars, "train")
    (tars / "sa_val_subset.txt").write_text("# mine\nsa_000002.tar\n\n")
    assert open_source(tars, "val").ids == ("sa_1_002", "sa_1_003")
    (tmp_path / "list.txt").write_text("sa_000001.tar\n")
    assert open_source(tars, "val", tar_list=tmp_path / "list.txt").ids == ("sa_1_000", "sa_1_001")
    (tars / "train").mkdir()
    with pytest.raises(EdgeSamError, match="train: holds no tar"):
        open_source(tars, "train")
    (tars / "sa_000001.tar").rename(tars / "train" / "any_name.tar")
    assert open_source(tars, "train").ids == ("sa_1_000", "sa_1_001")


def test_unannotated_and_doubled_members(tmp_path):
    members = [("a.jpg", b""), ("b.jpg", b""), ("b.json", b"")]
    first = write_tar(tmp_path / "1.tar", members)
    source = TarSource([first])
    assert (source.ids, source.image_ids) == (("b",), ("a", "b"))
    assert TarSource([first], with_annotations=False).ids == ("a", "b")
    with pytest.raises(EdgeSamError, match="b is there twice"):
        TarSource([first, write_tar(tmp_path / "2.tar", members[2:])])
    with pytest.raises(EdgeSamError, match="is there twice"):
        TarSource([write_tar(tmp_path / "3.tar", [*members, ("b.png", b"")])])
    with pytest.raises(EdgeSamError, match="no image with an annotation"):
        TarSource([write_tar(tmp_path / "4.tar", members[:1])])


def test_name_lists(tmp_path):
    for content, reason in (
        ("", "names nothing"),
        ("# only\n", "names nothing"),
        ("../a.tar", "not a plain file name"),
    ):
        (tmp_path / "list.txt").write_text(content)
        with pytest.raises(EdgeSamError, match=reason):
            read_name_list(tmp_path / "list.txt")
    with pytest.raises(EdgeSamError, match="cannot be read"):
        read_name_list(tmp_path / "none.txt")


@pytest.mark.parametrize("split", ["train", "val"])
def test_published_subset_is_that_of_the_shipped_list(split):
    shipped = read_name_list(REPOSITORY / "training" / f"sa_{split}_subset.txt")
    assert tuple(shipped) == PUBLISHED_SUBSET[split]
