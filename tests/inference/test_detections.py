import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from edge_sam.errors import EdgeSamError
from edge_sam.inference.detections import records_to_detections, to_detections


@dataclass
class Detections:
    """The fields of the class of that name in supervision."""

    xyxy: np.ndarray
    mask: np.ndarray
    confidence: np.ndarray


@pytest.fixture
def supervision(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=Detections))


MASKS = np.zeros((3, 8, 9), bool)
MASKS[0, 2:4, 3:9] = True
MASKS[2, 7, 0] = True
SCORES = np.array([0.9, 0.8, 0.7], np.float32)


def test_masks_become_detections(supervision):
    found = to_detections(MASKS, SCORES)
    assert found.xyxy.tolist() == [[3, 2, 9, 4], [0, 7, 1, 8]] and found.xyxy.dtype == np.float32
    assert np.array_equal(found.mask, MASKS[[0, 2]])
    assert found.confidence.tolist() == SCORES[[0, 2]].tolist()


def test_records_of_automatic_masks_become_detections(supervision):
    records = [{"segmentation": mask, "predicted_iou": float(score)} for mask, score in zip(MASKS, SCORES, strict=True)]
    found, same = records_to_detections(records), to_detections(MASKS, SCORES)
    assert np.array_equal(found.xyxy, same.xyxy) and np.array_equal(found.confidence, same.confidence)
    assert records_to_detections([]).xyxy.shape == (0, 4)
    with pytest.raises(EdgeSamError, match="binary_mask"):
        records_to_detections([{"segmentation": {"size": [8, 9]}, "predicted_iou": 1.0}])


def test_other_arrays_are_refused(supervision):
    for masks, scores in ((MASKS[0], SCORES), (MASKS.astype(float), SCORES), (MASKS, SCORES[:2])):
        with pytest.raises(EdgeSamError, match=r"masks are bool \(N, H, W\)"):
            to_detections(masks, scores)


def test_the_package_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(EdgeSamError, match=r"pip install 'edge-sam\[supervision\]'"):
        to_detections(MASKS, SCORES)
