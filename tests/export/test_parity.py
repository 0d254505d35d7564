"""Differences that a comparison has to find."""

import numpy as np

from edge_sam.export.parity import compare
from edge_sam.export.reference import reference_graphs
from edge_sam.runtime.graphs import GraphPair


class _SameForAll:
    """A decoder that gives every object of a batch the answer of the first."""

    def __init__(self, decoder):
        self.description, self._decoder = decoder.description, decoder

    def __call__(self, inputs):
        first = {name: inputs[name][:1] for name in ("point_coords", "point_labels")}
        count = len(inputs["point_coords"])
        return [np.repeat(answer, count, axis=0) for answer in self._decoder({**inputs, **first})]


def test_a_decoder_that_mixes_up_a_batch_is_found_out(sam, pictures):
    reference = reference_graphs(sam)
    same = compare(reference, reference, pictures[:1], "pytorch_again")
    assert same.prompts == 24 and same.mean_mask_iou == 1 and max(same.max_difference.values()) == 0
    broken = compare(reference, GraphPair(reference.encoder, _SameForAll(reference.decoder)), pictures[:1], "broken")
    assert broken.max_difference["low_res_masks"] > 0.01 and broken.max_difference["iou_predictions"] > 1e-4
