import numpy as np
import pytest
import torch
from PIL import Image

from edge_sam.data.transforms import pad_images
from edge_sam.modeling.checkpoints import load_official, read_state
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.registry import build_sam


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    """In 64 bits, where only a wrong formula makes a difference."""
    torch.manual_seed(0)
    decoder = MaskDecoder().double().eval()
    for parameter in decoder.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
    return decoder


@pytest.fixture(scope="module")
def arguments() -> list[torch.Tensor]:
    """An image of 128 x 64 px, its positions, five prompts, the dense embedding."""
    generator = torch.Generator().manual_seed(1)
    shapes = (1, 256, 8, 4), (1, 256, 8, 4), (5, 3, 256), (1, 256, 8, 4)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("at_once", [1, 70, 10**6])
def test_masks_are_those_of_the_decoder(count, at_once, decoder, arguments, monkeypatch):
    for name in ("_POSITIONS_AT_ONCE", "_UPSCALED_AT_ONCE"):
        monkeypatch.setattr(f"edge_sam.modeling.shared_image_decoder.{name}", at_once)
    image, pe, sparse, dense = arguments
    expected, expected_iou = decoder(image, pe, sparse, dense, count)
    masks, iou = decoder.for_one_image(image, pe, dense)(sparse, count)
    torch.testing.assert_close(masks, expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(iou, expected_iou, atol=1e-10, rtol=0)


@torch.inference_mode()
def test_only_good_masks_are_made(decoder, arguments):
    image, pe, sparse, dense = arguments
    decode = decoder.for_one_image(image, pe, dense)
    every, iou = decode(sparse, 3)
    for bar in (*iou.flatten().tolist(), -1e9):
        (candidates,) = decode.candidates(sparse, 3)
        assert torch.equal(candidates.iou, iou)
        masks = candidates.logits(iou > bar)
        torch.testing.assert_close(masks, every[iou > bar], atol=1e-10, rtol=0)


@torch.inference_mode()
def test_no_prompt_has_no_mask(decoder, arguments):
    image, pe, sparse, dense = arguments
    masks, iou = decoder.for_one_image(image, pe, dense)(sparse[:0], 3)
    assert masks.shape == (0, 3, 32, 16) and iou.shape == (0, 3)


@torch.inference_mode()
def test_the_same_decoder_answers_again(decoder, arguments):
    image, pe, sparse, dense = arguments
    decode = decoder.for_one_image(image, pe, dense)
    assert torch.equal(decode(sparse, 3)[0], decode(sparse, 3)[0])


@torch.inference_mode()
def test_autocast_does_not_reach_it(decoder, arguments):
    image, pe, sparse, dense = arguments
    expected = decoder.for_one_image(image, pe, dense)(sparse, 3)
    with torch.autocast("cpu", torch.bfloat16):
        decode = decoder.for_one_image(image, pe, dense)
        found = decode(sparse, 3)
        (candidates,) = decode.candidates(sparse, 3)
        samples = candidates.samples(candidates.iou > -1e9, torch.arange(4))
    assert all(torch.equal(ours, exact) for ours, exact in zip(found, expected, strict=True))
    assert samples.dtype == torch.float64
    # An embedding and tokens that autocast made are brought to the weights' format.
    found = decoder.for_one_image(image.bfloat16(), pe, dense)(sparse.bfloat16(), 3)
    torch.testing.assert_close(found, expected, atol=0.3, rtol=0.05)


@torch.inference_mode()
def test_masks_of_a_trained_model_are_the_same(shared):
    sam = build_sam("rep_vit_m1", 256, upsample_mode="bilinear").eval()
    load_official(sam, read_state(shared("lab_teacher", "lab_teacher_256.pth")), "lab teacher")
    picture = Image.open(shared("images", "truck.jpg")).convert("RGB").resize((256, 192))
    pixels, sizes = pad_images([torch.from_numpy(np.array(picture)).permute(2, 0, 1)], 256)
    embedding = sam.image_encoder(sam.preprocess(pixels, sizes))
    points = torch.rand(64, 1, 2, generator=torch.Generator().manual_seed(0)) * 256
    sparse, dense = sam.prompt_encoder((points, torch.ones(64, 1, dtype=torch.int64)), None, None)
    pe = sam.prompt_encoder.get_dense_pe()
    masks, iou = sam.mask_decoder.for_one_image(embedding, pe, dense[:1])(sparse, 3)
    expected, expected_iou = sam.mask_decoder(embedding, pe, sparse, dense, 3)
    torch.testing.assert_close(masks, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(iou, expected_iou, atol=1e-4, rtol=0)
