"""The teacher that comes with the repository: small, strict, and as good as it was when it was trained."""

import pytest

from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.demo.tour import LAB_TEACHER
from edge_sam.distributed import process_group
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.modeling.loading import load_sam
from edge_sam.modeling.network_settings import read_network_settings
from edge_sam.synthesis.data_set import write_data_set

UNSEEN = 73
"""Seed of pictures that neither the teacher's training nor the demo draws."""


def test_its_file_is_small_and_says_which_network_it_holds():
    assert LAB_TEACHER.stat().st_size < 16 * 2**20
    assert read_network_settings(LAB_TEACHER) == {
        "MODEL.TYPE": "rep_vit_m1", "DATA.IMG_SIZE": 256, "DISTILL.FUSE": True, "DISTILL.UPSAMPLE_MODE": "bicubic",
    }  # fmt: skip


@pytest.mark.slow
def test_it_segments_pictures_that_it_never_saw(tmp_path):
    write_data_set(tmp_path, 12, UNSEEN, split="val")
    dataset = Sa1bDataset(tmp_path, "val", 256, keep_annotations=True)
    protocols = [EvaluationProtocol("box"), EvaluationProtocol("point", "mask-center", 2)]
    with process_group(only_cpu=True) as world:
        box, point = evaluate_miou(
            load_sam(LAB_TEACHER), dataset, protocols, world=world, max_instances=16, num_workers=0
        )
    assert box.miou[0] > 0.55
    assert point.miou[0] > 0.42 and point.miou[2] > point.miou[0] + 0.03
