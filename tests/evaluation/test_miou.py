import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Refusal, Sa1bDataset
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.ground_truth import make_truth
from edge_sam.evaluation.miou import ImageScores, collect_result, evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol, guide_suite
from edge_sam.evaluation.simulated_user import Measured
from edge_sam.modeling.registry import build_sam
from tests.evaluation.disc_sam import DiscSam, watch_number_formats
from tests.synthetic_coco import COCO_FILE, read_tree, write_coco, write_tree

PROTOCOLS = (*guide_suite(), EvaluationProtocol("point", "mask-rand", 1, 3, "area", "edgesam"))


@pytest.fixture
def reference(val_split, alone):
    return evaluate_miou(DiscSam(), val_split, PROTOCOLS, world=alone, image_batch=4, max_prompts=100, num_workers=0)


@pytest.mark.parametrize("image_batch", [1, 3])
@pytest.mark.parametrize("max_prompts", [1, 2])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_and_workers_change_nothing(val_split, alone, reference, image_batch, max_prompts, num_workers):
    results = evaluate_miou(
        DiscSam(), val_split, PROTOCOLS,
        world=alone, image_batch=image_batch, max_prompts=max_prompts, num_workers=num_workers,
    )  # fmt: skip
    for result, expected in zip(results, reference, strict=True):
        assert result.image_ids == expected.image_ids
        np.testing.assert_array_equal(result.numbers, expected.numbers)
        np.testing.assert_allclose(result.iou, expected.iou, atol=1e-6)


def test_protocols_together_give_what_each_gives_alone(val_split, alone, reference):
    for protocol, expected in zip(PROTOCOLS, reference, strict=True):
        (result,) = evaluate_miou(DiscSam(), val_split, [protocol], world=alone, num_workers=0)
        assert result.miou == expected.miou


def test_mean_is_over_pooled_instances_in_order(val_split, reference):
    result = reference[0]
    counts = [len(val_split[index].annotations) for index in range(len(val_split))]
    assert len(set(counts)) > 1, "the images must differ for this test to mean anything"
    assert result.instances == sum(counts) and result.images == len(counts)
    assert result.image_ids == tuple(np.repeat(val_split.ids, counts))
    assert result.numbers.tolist() == [number for count in counts for number in range(count)]
    assert result.miou == pytest.approx(result.iou.mean(axis=0).tolist())
    annotations = [annotation for index in range(len(val_split)) for annotation in val_split[index].annotations]
    assert result.names == tuple(annotation.name for annotation in annotations)
    assert result.areas.tolist() == [annotation.decode().sum() for annotation in annotations]


def test_first_images_and_first_instances(photographs, alone, reference):
    few = Sa1bDataset(photographs, "val", 256, 3, keep_annotations=True)
    (result,) = evaluate_miou(DiscSam(), few, PROTOCOLS[:1], world=alone, max_instances=2, num_workers=0)
    kept = (reference[0].numbers < 2) & np.isin(reference[0].image_ids, few.ids)
    np.testing.assert_allclose(result.iou, reference[0].iou[kept], atol=1e-6)


def test_data_hash_is_of_what_was_used(photographs, val_split, alone, reference):
    assert len({result.data_sha256 for result in reference}) == 1
    few = Sa1bDataset(photographs, "val", 256, 3, keep_annotations=True)
    (result,) = evaluate_miou(DiscSam(), few, PROTOCOLS[:1], world=alone, num_workers=0)
    (fewer,) = evaluate_miou(DiscSam(), val_split, PROTOCOLS[:1], world=alone, max_instances=2, num_workers=0)
    (other,) = evaluate_miou(DiscSam(), val_split, [EvaluationProtocol(seed=5)], world=alone, num_workers=0)
    assert len({reference[0].data_sha256, result.data_sha256, fewer.data_sha256}) == 3
    assert other.data_sha256 == reference[0].data_sha256


def test_data_hash_is_of_the_pictures_too(photographs, tmp_path, alone, reference):
    root = shutil.copytree(photographs, tmp_path / "copy")
    picture = root / "images" / "val" / "sa_0_003.jpg"
    picture.write_bytes(picture.read_bytes() + b"\0")
    changed = Sa1bDataset(root, "val", 256, keep_annotations=True)
    (result,) = evaluate_miou(DiscSam(), changed, PROTOCOLS[:1], world=alone, num_workers=0)
    assert result.data_sha256 != reference[0].data_sha256


def test_answers_that_are_no_numbers_are_named_and_count_as_nothing(val_split, alone, reference):
    sam = DiscSam()
    decode, calls = sam.mask_decoder.forward, []

    def break_the_second_round_of_the_first_image(*given):
        calls.append(1)
        masks, scores = decode(*given)
        if len(calls) == 2:
            masks[0, 0, 5, 5] = torch.nan
        return masks, scores

    sam.mask_decoder.forward = break_the_second_round_of_the_first_image
    (result,) = evaluate_miou(sam, val_split, PROTOCOLS[:1], world=alone, num_workers=0)
    assert result.failures == ((val_split.ids[0], 0, "+1"),)
    assert result.iou[0, 1] == 0 and result.instances == reference[0].instances
    np.testing.assert_allclose(result.iou[1:], reference[0].iou[1:], atol=1e-6)


def test_what_failed_is_found_again_in_the_annotation_file(tmp_path, alone):
    """By its id, or by its place in its image's list: others may be crowds or broken."""
    root = write_coco(tmp_path, 2)
    tree = read_tree(root / COCO_FILE)
    tree["annotations"][0]["bbox"] = [0, 0, 0, 0]
    del tree["annotations"][2]["id"]
    tree["annotations"][3]["id"] = 900
    write_tree(root / COCO_FILE, tree["images"], tree["annotations"])
    sam = DiscSam()
    decode = sam.mask_decoder.forward
    sam.mask_decoder.forward = lambda *given: tuple(part * torch.nan for part in decode(*given))
    dataset = CocoDataset(root, "coco", 256)
    (result,) = evaluate_miou(sam, dataset, [EvaluationProtocol()], world=alone, num_workers=0)
    places = enumerate(tree["annotations"][1:-1], start=1)
    expected = [("sa_0_000", one.get("id", f"at position {place}"), "box") for place, one in places]
    assert result.failures == tuple(expected) and ("sa_0_000", "at position 2", "box") in expected
    vanished = collect_result(EvaluationProtocol(), _scores_without_ground_truth(result), ())
    assert vanished.empty == (("sa_0_000", expected[0][1]),)


def _scores_without_ground_truth(result):
    """Return the scores of a one-image result as if its first mask had no pixel."""
    present = np.arange(result.instances) > 0
    measured = Measured(result.iou[present], None, np.isnan(result.iou[present]))
    return [ImageScores(0, result.image_ids[0], "d" * 64, result.names, result.areas, present, measured)]


def test_masks_without_pixels_are_counted_and_named(val_split, alone, monkeypatch):
    def without_the_second(masks, *rest):
        truth = make_truth(masks, *rest)
        truth.present[1] = False
        return truth

    monkeypatch.setattr("edge_sam.evaluation.instances.make_truth", without_the_second)
    (result,) = evaluate_miou(DiscSam(), val_split, PROTOCOLS[:1], world=alone, num_workers=0)
    assert result.empty == tuple((image_id, 1) for image_id in val_split.ids)
    assert 1 not in result.numbers.tolist()


def test_broken_images_are_refused_once_and_the_others_measured(photographs, tmp_path, alone, reference):
    root = shutil.copytree(photographs, tmp_path / "copy")
    names = sorted((root / "images" / "val").iterdir())
    for path in names[2:4]:
        path.write_bytes(path.read_bytes()[:200])
    broken = Sa1bDataset(root, "val", 256, keep_annotations=True)
    (result,) = evaluate_miou(DiscSam(), broken, PROTOCOLS[:1], world=alone, num_workers=0)
    assert [refusal.image_id for refusal in result.refusals] == [path.stem for path in names[2:4]]
    kept = ~np.isin(reference[0].image_ids, [path.stem for path in names[2:4]])
    np.testing.assert_allclose(result.iou, reference[0].iou[kept], atol=1e-6)


def test_refusals_of_an_image_stand_in_one_order_in_every_run():
    """The order of a set of texts is another one in every process."""
    one = np.ones(1, dtype=np.int64)
    measured = Measured(np.ones((1, 1)), None, np.zeros((1, 1), dtype=bool))
    score = ImageScores(0, "a", "d" * 64, (1,), one, np.ones(1, dtype=bool), measured)
    refusals = [Refusal("a", f"annotation {number}: no area", "annotation") for number in range(100, 140)]
    assert collect_result(PROTOCOLS[0], [score], refusals[::-1]).refusals == tuple(refusals)


def test_nothing_to_measure_is_an_error(photographs, tmp_path, alone):
    root = shutil.copytree(photographs, tmp_path / "copy")
    for path in (root / "images" / "val").iterdir():
        path.write_bytes(b"no image")
    broken = Sa1bDataset(root, "val", 256, keep_annotations=True)
    with pytest.raises(EdgeSamError, match=r"no instance.*sa_0_000"):
        evaluate_miou(DiscSam(), broken, PROTOCOLS, world=alone, num_workers=0)


def test_model_in_training_is_left_as_it_was(photographs, alone):
    torch.manual_seed(0)
    sam = build_sam("rep_vit_m1", image_size=256)
    sam.train()
    sam.mask_decoder.eval()
    modes = {name: module.training for name, module in sam.named_modules()}
    weights = {name: tensor.clone() for name, tensor in sam.state_dict().items()}
    dataset = Sa1bDataset(photographs, "val", 256, 1, keep_annotations=True)
    evaluate_miou(sam, dataset, [EvaluationProtocol(refine_iters=1)], world=alone, max_instances=2, num_workers=0)
    assert {name: module.training for name, module in sam.named_modules()} == modes
    assert all(torch.equal(tensor, weights[name]) for name, tensor in sam.state_dict().items())
    embedding = sam.image_encoder(torch.zeros(2, 3, 256, 256))
    assert embedding.requires_grad, "training goes on after an evaluation"


@pytest.mark.parametrize(("amp", "number_format"), [(False, torch.float32), (True, torch.bfloat16)])
def test_networks_compute_in_bf16_where_that_is_asked_for(val_split, alone, amp, number_format):
    sam, formats = DiscSam(), []
    watch_number_formats(sam, formats)
    evaluate_miou(sam, val_split, PROTOCOLS[:1], world=alone, amp=amp, num_workers=0)
    assert set(formats) == {number_format} and len(formats) > len(val_split)
    assert not torch.is_autocast_enabled("cpu"), "afterwards all is as it was"


def test_bf16_runs_and_stays_near(photographs, alone):
    torch.manual_seed(0)
    sam = build_sam("rep_vit_m1", image_size=256)
    dataset = Sa1bDataset(photographs, "val", 256, 1, keep_annotations=True)
    exact, rounded = (
        evaluate_miou(sam, dataset, [EvaluationProtocol()], world=alone, amp=amp, num_workers=0)[0].iou
        for amp in (False, True)
    )
    assert rounded.shape == exact.shape and np.isfinite(rounded).all()
    assert np.abs(rounded - exact).mean() < 0.1


def test_progress_adds_up_to_all_images(val_split, alone):
    steps = []
    evaluate_miou(DiscSam(), val_split, PROTOCOLS[:1], world=alone, image_batch=3, num_workers=0, progress=steps.append)
    assert steps == [3, 3, 1]


def test_workers_are_initialised(val_split, alone, tmp_path):
    def note(worker):
        (tmp_path / f"{worker}.txt").write_text("started")

    evaluate_miou(DiscSam(), val_split, PROTOCOLS[:1], world=alone, num_workers=2, worker_init_fn=note)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.txt", "1.txt"]


SEVERAL_PROCESSES = """
import json, sys
import torch
from edge_sam.data.sa1b import Refusal, Sa1bDataset
from edge_sam.distributed import process_group
from edge_sam.evaluation.miou import ImageScores, collect_result, evaluate_miou
from edge_sam.modeling.registry import build_sam
from tests.evaluation.test_miou import PROTOCOLS

with process_group(only_cpu=True) as world:
    torch.manual_seed(0)
    dataset = Sa1bDataset(sys.argv[1], "val", 256, 5, keep_annotations=True)
    results = evaluate_miou(
        build_sam("rep_vit_m1", image_size=256), dataset, PROTOCOLS,
        world=world, image_batch=2, max_instances=2, num_workers=world.size - 1,
    )
    if world.rank == world.size - 1:
        records = [[r.image_ids, r.numbers.tolist(), r.iou.tolist(), r.miou] for r in results]
        open(sys.argv[2], "w").write(json.dumps(records))
"""


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(photographs, tmp_path):
    script = tmp_path / "several.py"
    script.write_text(SEVERAL_PROCESSES)
    outcomes = []
    for processes in (1, 2):
        output = tmp_path / f"{processes}.json"
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        done = subprocess.run(
            [*launcher, script, photographs, output], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        outcomes.append(json.loads(output.read_text()))
    assert outcomes[0] == outcomes[1]
    assert len({value for record in outcomes[0] for value in record[3]}) > 1
