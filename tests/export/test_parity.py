"""Differences that a comparison has to find."""

import numpy as np
import pytest

from edge_sam.errors import NotFiniteError
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


class _NotFinite:
    """A decoder whose logits are no numbers."""

    def __init__(self, decoder):
        self.description, self._decoder = decoder.description, decoder

    def __call__(self, inputs):
        logits, *others = self._decoder(inputs)
        return [logits * np.nan, *others]


def test_a_decoder_that_mixes_up_a_batch_is_found_out(sam, pictures):
    reference = reference_graphs(sam)
    same = compare(reference, reference, pictures[:1], "pytorch_again")
    assert same.prompts == 24 and same.mean_mask_iou == 1 and max(same.max_difference.values()) == 0
    broken = compare(reference, GraphPair(reference.encoder, _SameForAll(reference.decoder)), pictures[:1], "broken")
    assert broken.max_difference["low_res_masks"] > 0.01 and broken.max_difference["iou_predictions"] > 1e-4


def test_answers_that_are_no_numbers_are_a_difference_but_pytorchs_are_an_error(sam, pictures):
    reference = reference_graphs(sam)
    broken = GraphPair(reference.encoder, _NotFinite(reference.decoder))
    assert np.isnan(compare(reference, broken, pictures[:1], "broken").max_difference["low_res_masks"])
    with pytest.raises(NotFiniteError):
        compare(broken, reference, pictures[:1], "whole")
