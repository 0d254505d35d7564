import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.evaluation import measurements as measurements_module
from edge_sam.evaluation.measurements import MeasuredData, Measurement, Pace, measure_rest
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol
from tests.evaluation.compared_discs import Disc
from tests.evaluation.disc_sam import DiscSam

PROTOCOLS = (EvaluationProtocol("box", refine_iters=2), EvaluationProtocol("point", "mask-center", 0, 3, "oracle"))
PACE = Pace(image_batch=2, num_workers=0)


def measured(folder, disc, dataset, protocols=PROTOCOLS, max_instances=None, amp=False, pace=PACE):
    data = MeasuredData("sa", dataset.identity(), len(dataset), max_instances)
    found = [Measurement(folder, disc.model(), protocol, data, amp) for protocol in protocols]
    measure_rest(disc.model(), dataset, found, max_instances, pace, amp, lambda done: None)
    return found


def assert_same(result, expected):
    for name in ("protocol", "image_ids", "names", "failures", "empty", "refusals", "data_sha256"):
        assert getattr(result, name) == getattr(expected, name), name
    for name in ("numbers", "areas", "iou"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name), err_msg=name)


def test_what_was_kept_is_what_the_evaluation_gives(tmp_path, val_split, alone):
    expected = evaluate_miou(DiscSam(), val_split, PROTOCOLS, world=alone, image_batch=2, num_workers=0)
    for one, result in zip(measured(tmp_path, Disc("a"), val_split), expected, strict=True):
        assert one.images_done == len(val_split)
        assert_same(one.result(), result)


def test_a_second_call_needs_no_model_and_a_new_protocol_only_itself(tmp_path, val_split):
    disc = Disc("a")
    first = measured(tmp_path, disc, val_split, PROTOCOLS[:1])
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = measured(tmp_path, disc, val_split, PROTOCOLS[:1])
    assert disc.opened == 1
    assert_same(again[0].result(), first[0].result())
    both = measured(tmp_path, disc, val_split)
    assert disc.opened == 2 and {path: path.stat().st_mtime_ns for path in files} == files
    assert_same(both[0].result(), first[0].result())


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_killed_run_goes_on_to_the_same_numbers(tmp_path, val_split, stop_after):
    (tmp_path / "whole").mkdir()
    expected = measured(tmp_path / "whole", Disc("a"), val_split)
    disc = Disc("a", stop_after=stop_after)
    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path, disc, val_split)
    files = list(tmp_path.glob("*.jsonl"))
    for path in files[:1]:  # the other was not written before the end came
        path.write_bytes(path.read_bytes() + b'{"images_done":')
    disc.stop_after = None
    found = measured(tmp_path, disc, val_split)
    assert sum(disc.encoded) == len(val_split), "an image was measured twice, or never"
    for one, other in zip(found, expected, strict=True):
        assert_same(one.result(), other.result())
        assert one.path.read_bytes() == other.path.read_bytes()


@pytest.mark.parametrize("image_batch", [2, 3])
def test_protocols_that_were_left_at_different_images_go_on_together(tmp_path, val_split, image_batch):
    expected = measured(tmp_path, Disc("a"), val_split)
    results = [one.result() for one in expected]
    for one, batches in zip(expected, (1, 2), strict=True):
        one.path.write_bytes(b"".join(one.path.read_bytes().splitlines(keepends=True)[: 1 + batches]))
    disc = Disc("a")
    found = measured(tmp_path, disc, val_split, pace=Pace(image_batch=image_batch, num_workers=0))
    assert sum(disc.encoded) == len(val_split) - 2
    for one, other in zip(found, results, strict=True):
        assert one.result().image_ids == other.image_ids
        np.testing.assert_allclose(one.result().iou, other.iou, atol=1e-6)


def test_everything_that_changes_numbers_has_a_file_of_its_own(tmp_path, photographs, val_split, monkeypatch):
    def path(disc=None, protocol=PROTOCOLS[0], dataset=val_split, max_instances=None, amp=False):
        data = MeasuredData("sa", dataset.identity(), len(dataset), max_instances)
        return Measurement(tmp_path, disc or Disc("a").model(), protocol, data, amp).path

    other = shutil.copytree(photographs, tmp_path / "data" / photographs.name)
    annotations = sorted((other / "annotations" / "val").iterdir())[0]
    tree = json.loads(annotations.read_text())
    tree["annotations"].reverse()
    annotations.write_text(json.dumps(tree))
    found = [
        path(),
        path(Disc("b").model()),
        path(Disc("a", bias=1).model()),
        path(protocol=replace(PROTOCOLS[0], seed=1)),
        path(protocol=replace(PROTOCOLS[0], ground_truth="edgesam")),
        path(max_instances=3),
        path(amp=True),
        path(dataset=Sa1bDataset(photographs, "val", 256, 2, keep_annotations=True)),
        path(dataset=Sa1bDataset(other, "val", 256, keep_annotations=True)),
    ]
    monkeypatch.setattr("edge_sam.__version__", "1000.0")
    found.append(path())
    monkeypatch.setattr(measurements_module, "NUMBERS_VERSION", 10**6)
    found.append(path())
    assert len(set(found)) == len(found)
    assert path(replace(Disc("a").model(), name="of another name", source="elsewhere")) == found[-1]


def test_boundaries_failures_and_broken_images_are_kept(tmp_path, photographs, alone):
    root = shutil.copytree(photographs, tmp_path / "copy")
    broken = sorted((root / "images" / "val").iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:200])
    dataset = Sa1bDataset(root, "val", 256, keep_annotations=True)
    protocols = [EvaluationProtocol("box", refine_iters=1, boundary=True)]
    expected = evaluate_miou(DiscSam(), dataset, protocols, world=alone, image_batch=2, num_workers=0)
    (one,) = measured(tmp_path, Disc("a"), dataset, protocols)
    assert_same(one.result(), expected[0])
    np.testing.assert_array_equal(one.result().boundary_iou, expected[0].boundary_iou)
    assert [refusal.image_id for refusal in one.result().refusals] == [broken.stem]
