"""Graphs in Python in the place of exported ones: what is asked of them and what becomes of the answers."""

import numpy as np
import pytest
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.answers import AskedImage
from edge_sam.evaluation.exported_model import ExportedSam, check_protocol
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.prompts.batch import Prompts
from edge_sam.runtime.graphs import GraphDescription, GraphPair


class Graph:
    def __init__(self, description, answer):
        self.description, self.answer, self.asked = description, answer, []

    def __call__(self, inputs):
        self.asked.append(inputs)
        return self.answer(inputs)


def make(**changes) -> tuple[ExportedSam, Graph, Graph]:
    description = GraphDescription(64, **changes)
    encoder = Graph(
        description, lambda inputs: [np.full((1, 256, 4, 4), next(iter(inputs.values())).mean(), np.float32)]
    )

    def decode(inputs):
        count = len(inputs["point_coords"])
        masks = np.arange(4, dtype=np.float32)[None, :, None, None] + np.zeros((count, 4, 16, 16), np.float32)
        return [masks, np.tile(np.array([0.1, 0.2, 0.4, 0.3], np.float32), (count, 1)), masks]

    decoder = Graph(description, decode)
    return ExportedSam(GraphPair(encoder, decoder)), encoder, decoder


def test_pictures_go_in_one_by_one_normalised_or_as_they_are():
    images = torch.full((2, 3, 64, 64), 200, dtype=torch.uint8)
    sizes = torch.tensor([[32, 64], [64, 48]])
    sam, encoder, _ = make()
    embeddings = sam.image_encoder(sam.preprocess(images, sizes))
    assert embeddings.shape == (2, 256, 4, 4)
    assert [asked["images"].shape for asked in encoder.asked] == [(1, 3, 64, 64)] * 2
    assert (encoder.asked[0]["images"][0, :, 32:] == 0).all() and (encoder.asked[0]["images"][0, :, :32] > 1).all()
    sam, encoder, _ = make(preprocess=True)
    sam.image_encoder(sam.preprocess(images, sizes))
    assert [asked["image"].shape for asked in encoder.asked] == [(32, 64, 3), (64, 48, 3)]
    assert encoder.asked[0]["image"].dtype == np.uint8


def test_prompts_become_points_with_the_corners_last():
    sam, _, decoder = make(postprocess=True)
    boxes = Prompts.from_boxes(torch.tensor([[1.0, 2, 30, 40]]))
    clicked = boxes.add_points(torch.tensor([[[5.0, 6.0]]]), torch.tensor([[0]]))
    for prompts in (boxes, clicked, Prompts.from_points(torch.tensor([[[7.0, 8.0]]]))):
        AskedImage(sam, torch.zeros(1, 256, 4, 4), (64, 64)).answer(prompts, 1, "score")
    labels = [asked["point_labels"].tolist() for asked in decoder.asked]
    assert labels == [[[2, 3]], [[0, 2, 3]], [[1]]]
    assert decoder.asked[1]["point_coords"].tolist() == [[[5, 6], [1, 2], [30, 40]]]
    assert {asked["point_coords"].dtype for asked in decoder.asked} == {np.dtype(np.float32)}
    assert all(asked["has_mask_input"] == 0 and "orig_im_size" in asked for asked in decoder.asked)


def test_the_masks_that_are_asked_for_are_taken():
    sam, _, _ = make()
    prompts = Prompts.from_points(torch.tensor([[[7.0, 8.0]]]))
    for count, kept in ((1, 0.0), (3, 2.0), (4, 2.0)):
        answers = AskedImage(sam, torch.zeros(1, 256, 4, 4), (64, 64)).answer(prompts, count, "score")
        assert answers.masks[0, 0, 0, 0] == kept


def test_a_protocol_that_an_export_cannot_answer_is_told():
    box, of_three = EvaluationProtocol("box"), EvaluationProtocol("box", num_multimask_outputs=3)
    stable = GraphDescription(64, num_multimask_outputs=3, use_stability_score=True)
    with pytest.raises(EdgeSamError, match=r"a.onnx: box: this decoder was exported with 3 masks a prompt, not 1"):
        check_protocol(stable, box, "a.onnx")
    with pytest.raises(EdgeSamError, match="exported with stability scores and does not predict the IoU"):
        check_protocol(stable, of_three, "a.onnx")
    check_protocol(stable, EvaluationProtocol("box", num_multimask_outputs=3, multimask_select="oracle"), "a.onnx")
    for description in (GraphDescription(64), GraphDescription(64, num_multimask_outputs=3)):
        check_protocol(description, of_three, "a.onnx")
    check_protocol(GraphDescription(64, use_stability_score=True), box, "a.onnx")
