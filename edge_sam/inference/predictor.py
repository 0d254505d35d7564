"""Masks for one image at a time, by points, boxes and earlier masks; the interface of segment-anything."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor, nn

from edge_sam.data.transforms import pad_images, resized_size
from edge_sam.errors import EdgeSamError, NotFiniteError
from edge_sam.inputs.pictures import ChannelOrder, rgb_pixels
from edge_sam.inputs.prompts import check_prompts, expect_number_of_masks, expect_together
from edge_sam.modeling.folding import folded
from edge_sam.modeling.image_decoder import ImageDecoder
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam, normalize_images
from edge_sam.runtime.masks import STABILITY_OFFSET

_PROMPTS_AT_ONCE = 64
"""Prompts that are decoded together: memory grows with them."""


class SamPredictor:
    """Embeds an image once, then answers any number of prompts.

    The image encoder that runs is a copy with norms and branches folded, made at the first image (none where there is
    nothing to fold): later changes of the model's own encoder do not reach it, but for a move to another device.

    Args:
        sam: the model, on the device to work on; it is put into eval mode.
    """

    def __init__(self, sam: Sam) -> None:
        self.model = sam.eval()
        self._encoder: nn.Module | None = None
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.prompt_encoder.no_mask_embed.weight.device

    @property
    def is_image_set(self) -> bool:
        """Whether there is an image to ask about."""
        return self.features is not None

    def reset_image(self) -> None:
        """Forget the image."""
        self.features: Tensor | None = None
        self._decoder: ImageDecoder | None = None
        self.original_size: tuple[int, int] = (0, 0)
        self.input_size: tuple[int, int] = (0, 0)

    @torch.inference_mode()
    def set_image(self, image: NDArray[np.uint8] | Image.Image, image_format: ChannelOrder = "RGB") -> None:
        """Embed an image.

        Args:
            image: uint8 (H, W, 3), or a PIL image of any kind, see :func:`edge_sam.inputs.pictures.rgb_pixels`: one
                with an EXIF orientation is turned upright, and prompts and masks are of the upright picture.
            image_format: order of an array's channels.

        Raises:
            EdgeSamError: an array of another shape or type, or a PIL image without certain colours.
        """
        self.reset_image()  # a picture that is refused leaves no earlier one to be asked in its place
        pixels = rgb_pixels(image, image_format)
        height, width = pixels.shape[:2]
        size = self.model.image_size
        input_size = resized_size(height, width, size)
        # Pillow's resampling, as in segment-anything; training takes the faster one of torchvision.
        resized = np.array(Image.fromarray(pixels).resize(input_size[::-1], Image.Resampling.BILINEAR))
        images, sizes = pad_images([torch.from_numpy(resized).permute(2, 0, 1)], size)
        self.features = self._inference_encoder()(normalize_images(images.to(self.device), sizes))
        self.original_size = (height, width)
        self.input_size = input_size

    def predict(
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        num_multimask_outputs: int = 3,
        use_stability_score: bool = False,
        return_logits: bool = False,
    ) -> tuple[NDArray[np.generic], NDArray[np.float32], NDArray[np.float32]]:
        """Predict the masks of one object, or of each of N objects.

        Args:
            point_coords: (P, 2) or (N, P, 2), (x, y) in pixels of the image.
            point_labels: (P,) or (N, P): 1 foreground, 0 background, -1 padding where objects have fewer points.
            box: (4,) or (N, 4), XYXY in pixels of the image; cut at the image's edge; (1, 4) also beside prompts of
                one object.
            mask_input: (1, 4h, 4w) or (N, 1, 4h, 4w), logits, e.g. the third result of an earlier call.
            num_multimask_outputs: K = 1: the single mask; 3: three candidates; 4: both.
            use_stability_score: score by how little a mask changes with the threshold instead of by predicted IoU.
            return_logits: logits instead of bool masks.

        Returns:
            masks (K, H, W), bool or float32; scores (K,); low-resolution logits (K, 4h, 4w). For N objects each with
            that dimension before the others; N may be 0.

        Raises:
            EdgeSamError: no image, another number of masks, or prompts that
                :func:`edge_sam.inputs.prompts.check_prompts` refuses.
            NotFiniteError: scores or logits are no numbers.
        """
        self.get_image_embedding()
        prompts = check_prompts(
            point_coords, point_labels, box, mask_input, self.original_size, self._mask_input_side()
        )
        points, labels, boxes, masks = (
            None if x is None else torch.from_numpy(x).to(self.device)
            for x in (prompts.points, prompts.labels, prompts.boxes, prompts.masks)
        )
        answers = self.predict_torch(
            None if points is None else self.apply_coords(points),
            labels,
            None if boxes is None else self.apply_coords(boxes.view(-1, 2, 2)).view(-1, 4),
            masks,
            num_multimask_outputs,
            use_stability_score,
            return_logits,
        )
        found, scores, low_resolution = (answer if prompts.batched else answer[0] for answer in answers)
        return found.cpu().numpy(), scores.float().cpu().numpy(), low_resolution.float().cpu().numpy()

    @torch.inference_mode()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        num_multimask_outputs: int = 3,
        use_stability_score: bool = False,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict the masks of N objects; coordinates are input pixels (see :meth:`apply_coords`).

        Args:
            point_coords: (N, P, 2).
            point_labels: (N, P): 1 foreground, 0 background, -1 padding.
            boxes: (N, 4), XYXY.
            mask_input: (N, 1, 4h, 4w).
            num_multimask_outputs: see :meth:`predict`, as for the arguments that follow.
            use_stability_score: score by stability instead of predicted IoU.
            return_logits: logits instead of bool masks.

        Returns:
            masks (N, K, H, W), scores (N, K), low-resolution logits (N, K, 4h, 4w); N may be 0.

        Raises:
            EdgeSamError: no image, no prompt, prompts of different numbers of objects, another number of masks.
            NotFiniteError: scores or logits are no numbers.
        """
        features = self.get_image_embedding()
        expect_number_of_masks(num_multimask_outputs)
        number = _number_of_objects(point_coords, point_labels, boxes, mask_input)
        side = self._mask_input_side()
        low_resolution = features.new_empty(number, num_multimask_outputs, side, side)
        scores = features.new_empty(number, num_multimask_outputs)
        for start in range(0, number, _PROMPTS_AT_ONCE):
            part = slice(start, start + _PROMPTS_AT_ONCE)
            low_resolution[part], scores[part] = self._decode(
                None if point_coords is None or point_labels is None else (point_coords[part], point_labels[part]),
                None if boxes is None else boxes[part],
                None if mask_input is None else mask_input[part],
                num_multimask_outputs,
            )
        if use_stability_score:
            scores = stability_score(low_resolution)
        return self._enlarge(low_resolution, return_logits), scores, low_resolution

    def _decode(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        mask_input: Tensor | None,
        num_multimask_outputs: int,
    ) -> tuple[Tensor, Tensor]:
        """Return low-resolution logits (N, K, 4h, 4w) and predicted IoU (N, K), all of them finite."""
        logits, scores = self.image_decoder(points, boxes, mask_input, num_multimask_outputs)
        expect_finite(logits)
        expect_finite(scores)
        return logits, scores

    def _enlarge(self, low_resolution: Tensor, return_logits: bool) -> Tensor:
        """Bring logits (N, K, 4h, 4w) to the image's size, mask by mask: together they may need gigabytes more."""
        kind = torch.float32 if return_logits else torch.bool
        enlarged = low_resolution.new_empty((*low_resolution.shape[:2], *self.original_size), dtype=kind)
        for index in np.ndindex(*low_resolution.shape[:2]):
            logits = self.model.postprocess_masks(
                low_resolution[index][None, None], self.input_size, self.original_size
            )[0, 0]
            enlarged[index] = logits if return_logits else logits > MASK_THRESHOLD
        return enlarged

    def get_image_embedding(self) -> Tensor:
        """Return the embedding of the image, (1, 256, h, w).

        Raises:
            EdgeSamError: no image was set.
        """
        if self.features is None:
            raise EdgeSamError("no image was set: call set_image before predict")
        return self.features

    @property
    def image_decoder(self) -> ImageDecoder:
        """What decodes prompts of the image, in input pixels.

        Raises:
            EdgeSamError: no image was set.
        """
        embedding = self.get_image_embedding()
        if self._decoder is None or self._decoder.embedding is not embedding:  # features may be given from outside
            self._decoder = self.model.decoder_for(embedding)
        return self._decoder

    def apply_coords(self, coordinates: Tensor) -> Tensor:
        """Scale (..., 2) from pixels of the image to input pixels, float32.

        Raises:
            EdgeSamError: no image was set.
        """
        self.get_image_embedding()
        ratio = [self.input_size[i] / self.original_size[i] for i in (1, 0)]
        return (coordinates.double() * coordinates.new_tensor(ratio, dtype=torch.float64)).float()

    def _inference_encoder(self) -> nn.Module:
        encoder = self.model.image_encoder
        if not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()):
            return encoder
        if self._encoder is None or next(self._encoder.parameters()).device != self.device:
            self._encoder = folded(encoder).to(memory_format=torch.channels_last)
        return self._encoder

    def _mask_input_side(self) -> int:
        return 4 * self.model.prompt_encoder.image_embedding_size[0]


def _number_of_objects(
    point_coords: Tensor | None, point_labels: Tensor | None, boxes: Tensor | None, mask_input: Tensor | None
) -> int:
    expect_together(point_coords, point_labels)
    counts = [len(prompt) for prompt in (point_coords, point_labels, boxes, mask_input) if prompt is not None]
    if not counts:
        raise EdgeSamError("no prompt: give points, a box or a mask")
    if len(set(counts)) > 1:
        raise EdgeSamError(f"prompts do not belong together: they are of {', '.join(map(str, counts))} objects")
    return counts[0]


def expect_finite(answer: Tensor) -> None:
    """Insist that what a network answers, of any shape, is neither NaN nor infinite.

    Raises:
        NotFiniteError: some of it is.
    """
    if not answer.isfinite().all():
        raise NotFiniteError


def stability_score(logits: Tensor, threshold: float = MASK_THRESHOLD, offset: float = STABILITY_OFFSET) -> Tensor:
    """Return the IoU of a mask at a higher and at a lower threshold, in [0, 1]; 0 for an empty mask.

    Args:
        logits: (..., h, w).
        threshold: of the mask.
        offset: distance of both thresholds from it (Segment Anything, appendix B, "stable masks").

    Returns:
        (...), float32.
    """
    smaller = (logits > threshold + offset).sum(dim=(-1, -2))
    larger = (logits > threshold - offset).sum(dim=(-1, -2))
    return smaller / larger.clamp(min=1)
