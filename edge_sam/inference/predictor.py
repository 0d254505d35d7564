"""Masks for one image at a time, by points, boxes and earlier masks; the interface of segment-anything."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from edge_sam.data.transforms import pad_images, resized_size
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.sam import MASK_THRESHOLD, Sam, normalize_images

STABILITY_OFFSET = 1.0


class SamPredictor:
    """Embeds an image once, then answers any number of prompts.

    Args:
        sam: the model, on the device to work on; it is put into eval mode.
    """

    def __init__(self, sam: Sam) -> None:
        self.model = sam.eval()
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.prompt_encoder.no_mask_embed.weight.device

    def reset_image(self) -> None:
        """Forget the image."""
        self.features: Tensor | None = None
        self.original_size: tuple[int, int] = (0, 0)
        self.input_size: tuple[int, int] = (0, 0)

    @torch.inference_mode()
    def set_image(self, image: NDArray[np.uint8] | Image.Image) -> None:
        """Embed an image.

        Args:
            image: a PIL image, or RGB uint8 (H, W, 3).

        Raises:
            EdgeSamError: an array of another shape or type.
        """
        pixels = rgb_pixels(image)
        height, width = pixels.shape[:2]
        size = self.model.image_size
        input_size = resized_size(height, width, size)
        # Pillow's resampling, as in segment-anything; training takes the faster one of torchvision.
        resized = np.array(Image.fromarray(pixels).resize(input_size[::-1], Image.Resampling.BILINEAR))
        images, sizes = pad_images([torch.from_numpy(resized).permute(2, 0, 1)], size)
        self.reset_image()
        self.features = self.model.image_encoder(normalize_images(images.to(self.device), sizes))
        self.original_size = (height, width)
        self.input_size = input_size

    def predict(
        self,
        point_coords: NDArray[np.floating] | None = None,
        point_labels: NDArray[np.integer] | None = None,
        box: NDArray[np.floating] | None = None,
        mask_input: NDArray[np.float32] | None = None,
        num_multimask_outputs: int = 3,
        use_stability_score: bool = False,
        return_logits: bool = False,
    ) -> tuple[NDArray[np.generic], NDArray[np.float32], NDArray[np.float32]]:
        """Predict the masks of one object.

        Args:
            point_coords: (P, 2), (x, y) in pixels of the image.
            point_labels: (P,): 1 foreground, 0 background.
            box: (4,), XYXY in pixels of the image.
            mask_input: (1, 4h, 4w) logits, e.g. the third result of an earlier call.
            num_multimask_outputs: K = 1: the single mask; 3: three candidates; 4: both.
            use_stability_score: score by how little a mask changes with the threshold instead of by predicted IoU.
            return_logits: logits instead of bool masks.

        Returns:
            masks (K, H, W), bool or float32; scores (K,); low-resolution logits (K, 4h, 4w).

        Raises:
            EdgeSamError: no image, no prompt, points without labels, another label, arrays of other shapes, another
                number of masks.
        """
        coordinates, labels = _points(point_coords, point_labels)
        boxes = None if box is None else _shaped("box", box, (4,))
        masks = None if mask_input is None else _shaped("mask_input", mask_input, self._mask_input_shape())
        device = self.device
        logits, scores, low_resolution = self.predict_torch(
            None if coordinates is None else self.apply_coords(coordinates.to(device))[None],
            None if labels is None else labels.to(device)[None],
            None if boxes is None else self.apply_coords(boxes.view(2, 2).to(device)).view(1, 4),
            None if masks is None else masks.to(device)[None],
            num_multimask_outputs,
            use_stability_score,
            return_logits,
        )
        return logits[0].cpu().numpy(), scores[0].float().cpu().numpy(), low_resolution[0].float().cpu().numpy()

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
            masks (N, K, H, W), scores (N, K), low-resolution logits (N, K, 4h, 4w).

        Raises:
            EdgeSamError: no image, no prompt, another number of masks.
        """
        features = self.get_image_embedding()
        if num_multimask_outputs not in (1, 3, 4):
            raise EdgeSamError(f"num_multimask_outputs is 1, 3 or 4, not {num_multimask_outputs}")
        if point_coords is None and boxes is None and mask_input is None:
            raise EdgeSamError("no prompt: give points, a box or a mask")
        points = None if point_coords is None or point_labels is None else (point_coords, point_labels)
        sparse, dense = self.model.prompt_encoder(points, boxes, mask_input)
        pe = self.model.prompt_encoder.get_dense_pe()
        low_resolution, scores = self.model.mask_decoder(features, pe, sparse, dense, num_multimask_outputs)
        if use_stability_score:
            scores = stability_score(low_resolution)
        logits = self.model.postprocess_masks(low_resolution, self.input_size, self.original_size)
        return logits if return_logits else logits > MASK_THRESHOLD, scores, low_resolution

    def get_image_embedding(self) -> Tensor:
        """Return the embedding of the image, (1, 256, h, w).

        Raises:
            EdgeSamError: no image was set.
        """
        if self.features is None:
            raise EdgeSamError("no image was set: call set_image before predict")
        return self.features

    def apply_coords(self, coordinates: Tensor) -> Tensor:
        """Scale (..., 2) from pixels of the image to input pixels, float32.

        Raises:
            EdgeSamError: no image was set.
        """
        self.get_image_embedding()
        ratio = [self.input_size[i] / self.original_size[i] for i in (1, 0)]
        return (coordinates.double() * coordinates.new_tensor(ratio, dtype=torch.float64)).float()

    def _mask_input_shape(self) -> tuple[int, int, int]:
        h, w = self.model.prompt_encoder.image_embedding_size
        return (1, 4 * h, 4 * w)


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


def rgb_pixels(image: NDArray[np.uint8] | Image.Image) -> NDArray[np.uint8]:
    """Return an image as an RGB array, uint8 (H, W, 3).

    Raises:
        EdgeSamError: an array of another shape or type.
    """
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"))
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        found = f"{image.dtype} {image.shape}" if is_array else type(image).__name__
        raise EdgeSamError(f"an image is a PIL image or an RGB array, uint8 (H, W, 3), not {found}")
    return image


def _points(
    coordinates: NDArray[np.floating] | None, labels: NDArray[np.integer] | None
) -> tuple[Tensor | None, Tensor | None]:
    if coordinates is None and labels is None:
        return None, None
    if coordinates is None or labels is None:
        raise EdgeSamError("point_coords and point_labels (1 foreground, 0 background) come together")
    if not np.isin(labels, (-1, 0, 1)).all():
        raise EdgeSamError(f"a point's label is 1 (foreground), 0 (background) or -1 (padding), not {list(labels)}")
    return _shaped("point_coords", coordinates, (len(labels), 2)), torch.as_tensor(np.asarray(labels)).long()


def _shaped(name: str, values: NDArray[np.generic], shape: tuple[int, ...]) -> Tensor:
    array = np.asarray(values)
    if array.shape != shape:
        raise EdgeSamError(f"{name} has shape {array.shape}, not {shape}")
    return torch.as_tensor(array)
