import numpy as np
import torch
import torch.nn.functional as F

from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.sam import PIXEL_MEAN, PIXEL_STD, normalize_images


def test_images_are_normalised_and_the_padding_is_zero():
    images = torch.full((2, 3, 8, 8), 200, dtype=torch.uint8)
    out = normalize_images(images, torch.tensor([[8, 5], [3, 8]]))
    expected = (200 - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)
    torch.testing.assert_close(out[0, :, 7, 4], expected)
    torch.testing.assert_close(out[1, :, 2, 7], expected)
    assert (out[0, :, :, 5:] == 0).all()
    assert (out[1, :, 3:] == 0).all()
    assert np.count_nonzero(out[0, 0]) == 40
    assert out.dtype == torch.float32


def test_masks_come_back_at_the_size_of_the_file():
    sam = build_sam("rep_vit_m1", 256)
    low_resolution = torch.randn(2, 3, 64, 64)
    out = sam.postprocess_masks(low_resolution, (171, 256), (333, 500))
    assert out.shape == (2, 3, 333, 500)
    square = F.interpolate(low_resolution, (256, 256), mode="bilinear", align_corners=False)
    expected = F.interpolate(square[..., :171, :256], (333, 500), mode="bilinear", align_corners=False)
    assert torch.equal(out, expected)


def test_a_gradient_flows_through_all_three_parts():
    torch.manual_seed(0)
    sam = build_sam("rep_vit_m1", 256)
    images = torch.randint(0, 256, (2, 3, 256, 256), dtype=torch.uint8)
    embeddings = sam.image_encoder(sam.preprocess(images, torch.tensor([[256, 200], [100, 256]])))
    prompts = sam.prompt_encoder(None, torch.rand(3, 4) * 256, None)
    masks, _ = sam.mask_decoder(
        embeddings, sam.prompt_encoder.get_dense_pe(), *prompts, 4, image_index=torch.tensor([0, 1, 1])
    )
    assert masks.shape == (3, 4, 64, 64)
    masks.square().mean().backward()
    for parameter in (
        sam.image_encoder.trunk.stem.conv1.c.weight,
        sam.prompt_encoder.point_embeddings[2].weight,
        sam.mask_decoder.mask_tokens.weight,
    ):
        assert parameter.grad.abs().sum() > 0


def test_the_whole_model_runs_in_bfloat16():
    sam = build_sam("rep_vit_m1", 256).eval()
    images = sam.preprocess(torch.randint(0, 256, (1, 3, 256, 256), dtype=torch.uint8), torch.tensor([[256, 256]]))
    with torch.autocast("cpu", torch.bfloat16):
        sparse, dense = sam.prompt_encoder(None, torch.rand(2, 4) * 256, torch.randn(2, 1, 64, 64))
        masks, iou = sam.mask_decoder(sam.image_encoder(images), sam.prompt_encoder.get_dense_pe(), sparse, dense)
    assert masks.isfinite().all()
    assert iou.isfinite().all()
