import pytest
import torch

from edge_sam.modeling.image_decoder import ImageDecoder
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.shared_image_decoder import SharedImageDecoder


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam("rep_vit_m1", 64).eval()


@pytest.fixture
def shared_calls(monkeypatch):
    """How many prompts each call of the shared decoder was given."""
    calls, plain = [], SharedImageDecoder.__call__

    def seen(self, sparse, count):
        calls.append(len(sparse))
        return plain(self, sparse, count)

    monkeypatch.setattr(SharedImageDecoder, "__call__", seen)
    return calls


def prompts(number):
    generator = torch.Generator().manual_seed(number)
    points = torch.rand(number, 2, 2, generator=generator) * 64, torch.ones(number, 2)
    return points, torch.rand(number, 4, generator=generator) * 64, torch.randn(number, 1, 16, 16, generator=generator)


def by_definition(sam, embedding, points, boxes, masks, count):
    encoded = sam.prompt_encoder(points, boxes, masks)
    return sam.mask_decoder(embedding, sam.prompt_encoder.get_dense_pe(), *encoded, count)


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3, 4])
def test_all_ways_give_the_answers_of_the_definition(sam, count, shared_calls):
    embedding = torch.randn(1, 256, 4, 4)
    decode = sam.decoder_for(embedding)
    for number in (1, 2, 5):
        points, boxes, masks = prompts(number)
        for given in ((points, None, None), (None, boxes, None), (points, boxes, None), (points, boxes, masks)):
            found = decode(*given, count)
            expected = by_definition(sam, embedding, *given, count)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert shared_calls == [2] * 3 + [5] * 3


@torch.no_grad()
def test_what_prompts_share_is_prepared_once(sam, monkeypatch):
    prepared = []
    plain = type(sam.mask_decoder).for_one_image
    monkeypatch.setattr(
        type(sam.mask_decoder), "for_one_image", lambda *given: prepared.append(1) or plain(*given), raising=True
    )
    decode = ImageDecoder(sam, torch.randn(1, 256, 4, 4))
    points, boxes, _ = prompts(3)
    decode(points, None, None, 1)
    decode(None, boxes, None, 3)
    assert prepared == [1]


def test_gradients_and_reduced_precision_are_those_of_the_definition(sam, shared_calls):
    embedding = torch.randn(1, 256, 4, 4, requires_grad=True)
    points, _, _ = prompts(3)
    masks, _ = sam.decoder_for(embedding)(points, None, None, 1)
    masks.sum().backward()
    assert embedding.grad.abs().sum() > 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = sam.decoder_for(embedding)(points, None, None, 1)
        for mine, theirs in zip(found, by_definition(sam, embedding, points, None, None, 1), strict=True):
            assert mine.dtype == theirs.dtype
            torch.testing.assert_close(mine, theirs, atol=0.05, rtol=0.05)
    assert not shared_calls
