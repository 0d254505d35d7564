import numpy as np
from pycocotools.coco import COCO

from edge_sam.inference.coco_file import MaskedPicture, coco_file, run_lengths


def masks():
    blob = np.zeros((20, 30), bool)
    blob[3:9, 5:12] = True
    blob[19, 29] = True
    return [blob, np.ones((20, 30), bool)]


def test_pycocotools_reads_the_masks_back():
    first, second = masks()
    records = [{"segmentation": run_lengths(mask), "score": 0.5} for mask in (first, np.zeros_like(first), second)]
    content = coco_file([MaskedPicture("empty.jpg", (4, 4), []), MaskedPicture("two.jpg", (20, 30), records)])
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    assert [image["file_name"] for image in coco.loadImgs([1, 2])] == ["empty.jpg", "two.jpg"]
    found = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert [entry["id"] for entry in found] == [1, 2] and not coco.getAnnIds(imgIds=[1])
    for entry, mask in zip(found, (first, second), strict=True):
        assert np.array_equal(coco.annToMask(entry), mask)
        assert entry["area"] == mask.sum() and entry["score"] == 0.5
    assert found[0]["bbox"] == [5, 3, 25, 17]


def test_a_mask_may_bring_its_number():
    records = [{"id": 2 * number, "segmentation": run_lengths(mask)} for number, mask in enumerate(masks(), start=1)]
    content = coco_file([MaskedPicture("two.jpg", (20, 30), records)])
    assert [entry["id"] for entry in content["annotations"]] == [2, 4]
