import pytest
import torch

from edge_sam.modeling.checkpoints import load_official, split_state
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.prompt_encoder import PromptEncoder
from tests.modeling.rounding import expect_golden, more_than_one_thread
from tests.modeling.test_prompt_encoder import CASES, golden_prompts


@pytest.fixture(scope="module")
def golden_parts(golden_state):
    parts = split_state(golden_state("edge_sam"))
    prompt_encoder, mask_decoder = PromptEncoder(), MaskDecoder()
    load_official(prompt_encoder, parts["prompt_encoder"], "golden")
    load_official(mask_decoder, parts["mask_decoder"], "golden")
    return prompt_encoder, mask_decoder


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("case", CASES)
def test_masks_are_the_golden_ones(case, count, golden_parts, golden, golden_input):
    prompt_encoder, mask_decoder = golden_parts
    arrays = golden("edge_sam")

    def decode(embedding: torch.Tensor) -> dict[str, torch.Tensor]:
        sparse, dense = prompt_encoder(*golden_prompts(case, arrays, golden_input))
        masks, iou = mask_decoder(embedding, prompt_encoder.get_dense_pe(), sparse, dense, count)
        assert masks.shape == (3, count, 256, 256)
        return {"masks": masks[..., ::8, ::8], "iou": iou}

    expected = {name: torch.from_numpy(arrays[f"decode_{case}_{count}_{name}"]) for name in ("masks", "iou")}
    with more_than_one_thread():
        expect_golden(decode, 0.5 * golden_input("embedding", 1, 256, 64, 64), expected)


@pytest.fixture
def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    return MaskDecoder()


@pytest.fixture
def prompts() -> dict[str, torch.Tensor]:
    """Five prompts on three images of 128 px."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"image_pe": (1, 256, 8, 8), "sparse": (5, 3, 256), "dense": (5, 256, 8, 8)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("number", [5, 0])
def test_inference_answers_as_training_does(number, decoder, prompts):
    arguments = torch.randn(1, 256, 8, 8), prompts["image_pe"], prompts["sparse"][:number], prompts["dense"][:1], 3
    expected = decoder(*arguments)
    assert expected[0].shape == (number, 3, 32, 32)
    with torch.inference_mode():
        for found, wanted in zip(decoder(*arguments), expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_prompts_of_several_images_equal_a_loop_over_images(decoder, prompts):
    images = torch.randn(3, 256, 8, 8)
    index = torch.tensor([2, 0, 0, 1, 2])
    masks, iou = decoder(images, **prompts, num_multimask_outputs=4, image_index=index)
    for i in range(5):
        one = {
            "image_pe": prompts["image_pe"],
            "sparse": prompts["sparse"][i : i + 1],
            "dense": prompts["dense"][i : i + 1],
        }
        mask, score = decoder(images[index[i]][None], **one, num_multimask_outputs=4)
        torch.testing.assert_close(masks[i], mask[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(iou[i], score[0], atol=1e-5, rtol=0)


def test_without_index_there_is_one_image_or_one_for_each_prompt(decoder, prompts):
    image = torch.randn(1, 256, 8, 8)
    one, _ = decoder(image, **prompts)
    each, _ = decoder(image.repeat(5, 1, 1, 1), **prompts)
    indexed, _ = decoder(image, **prompts, image_index=torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(one, each)
    torch.testing.assert_close(one, indexed)


def test_one_three_and_four_masks_are_the_same_masks(decoder, prompts):
    image = torch.randn(1, 256, 8, 8)
    (one, one_iou), (three, three_iou), (four, four_iou) = (
        decoder(image, **prompts, num_multimask_outputs=count) for count in (1, 3, 4)
    )
    torch.testing.assert_close(torch.cat([one, three], 1), four)
    torch.testing.assert_close(torch.cat([one_iou, three_iou], 1), four_iou)
    assert four.shape == (5, 4, 32, 32)


def test_another_number_of_masks_is_refused(decoder, prompts):
    with pytest.raises(ValueError, match="1, 3 or 4, not 2"):
        decoder(torch.randn(1, 256, 8, 8), **prompts, num_multimask_outputs=2)
    with pytest.raises(ValueError, match="1, 3 or 4, not 0"):
        shared = decoder.for_one_image(torch.randn(1, 256, 8, 8), prompts["image_pe"], prompts["dense"][:1])
        shared(prompts["sparse"], 0)


@pytest.mark.parametrize("count", [1, 4])
def test_every_parameter_has_a_gradient_whatever_is_asked_for(count, decoder, prompts):
    images = torch.randn(2, 256, 8, 8, requires_grad=True)
    index = torch.tensor([0, 0, 1, 1, 1])
    masks, iou = decoder(images, **prompts, num_multimask_outputs=count, image_index=index)
    (masks.square().mean() + iou.square().mean()).backward()
    assert [name for name, parameter in decoder.named_parameters() if parameter.grad is None] == []
    assert all(gradient.abs().sum() > 0 for gradient in images.grad)


def test_bfloat16_autocast_stays_close(decoder, prompts):
    image = torch.randn(1, 256, 8, 8)
    exact, _ = decoder(image, **prompts)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = decoder(image, **prompts)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()
