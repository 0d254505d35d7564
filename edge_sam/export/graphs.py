"""What is exported: two modules whose inputs and outputs are tensors alone.

Prompts travel as in segment-anything's ONNX decoder: a box is two points, its corners, with the labels 2 and 3. The
inputs have the same names there. Code written for it leaves out the padding point (0, 0) of label -1, which this graph
adds, and takes outputs by name, as their order is another one. Here N prompts may be decoded at once.
"""

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.layers import SqueezeExcite
from torch import Tensor, nn

from edge_sam.modeling.folding import folded
from edge_sam.modeling.repvit import FeatureFusion, RepViTImageEncoder
from edge_sam.modeling.sam import MASK_THRESHOLD, PIXEL_MEAN, PIXEL_STD, Sam
from edge_sam.runtime.graphs import TOP_LEFT_LABEL, GraphDescription
from edge_sam.runtime.masks import STABILITY_OFFSET


class ExportedGraph(nn.Module):
    """A module of tensors in, tensors out.

    Attributes:
        description: what it computes.
        output_names: in their order.
    """

    description: GraphDescription
    output_names: tuple[str, ...]

    def __init__(self, description: GraphDescription) -> None:
        super().__init__()
        self.description = description


class EncoderGraph(ExportedGraph):
    """A folded image encoder: normalised and padded images (1, 3, s, s) -> (1, 256, s/16, s/16)."""

    output_names = ("image_embeddings",)

    def __init__(self, sam: Sam, description: GraphDescription) -> None:
        super().__init__(description)
        self.encoder = folded(sam.image_encoder)
        _pool_in_two_steps(self.encoder)
        if description.gelu_approximate:
            _approximate_gelu(self.encoder)

    def forward(self, images: Tensor) -> Tensor:
        """Encode."""
        return cast(Tensor, self.encoder(images))


class PictureEncoderGraph(EncoderGraph):
    """The same behind its preprocessing: a picture of any size, uint8 (H, W, 3) RGB -> (1, 256, s/16, s/16)."""

    def __init__(self, sam: Sam, description: GraphDescription) -> None:
        super().__init__(sam, description)
        self.image_size = description.image_size
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(PIXEL_STD)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Resize, normalise, pad and encode."""
        rows, columns = self._resized_size(image.shape[0], image.shape[1])
        pixels = image.permute(2, 0, 1)[None].float()
        pixels = F.interpolate(pixels, (rows, columns), mode="bilinear", antialias=True).round().clamp(0, 255)
        normalised = (pixels - cast(Tensor, self.mean)) / cast(Tensor, self.std)
        return super().forward(F.pad(normalised, (0, self.image_size - columns, 0, self.image_size - rows)))

    def _resized_size(self, height: int, width: int) -> tuple[int, int]:
        """Return what becomes of a picture's sides, half rounded up, in terms that a graph can hold."""
        longest = torch.sym_max(height, width)
        rows, columns = ((2 * side * self.image_size + longest) // (2 * longest) for side in (height, width))
        return cast(int, torch.sym_max(rows, 1)), cast(int, torch.sym_max(columns, 1))


class DecoderGraph(ExportedGraph):
    """Prompt encoder and mask decoder: N prompts of one image become masks and their scores."""

    output_names: tuple[str, ...] = ("low_res_masks", "iou_predictions")

    def __init__(self, sam: Sam, description: GraphDescription) -> None:
        super().__init__(description)
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder
        if description.gelu_approximate:
            self.prompt_encoder, self.mask_decoder = copy.deepcopy((sam.prompt_encoder, sam.mask_decoder))
            _approximate_gelu(self)
        self.image_size = description.image_size
        self.register_buffer("image_pe", sam.prompt_encoder.get_dense_pe().detach(), persistent=False)

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            image_embeddings: (1, 256, h, w).
            point_coords: (N, P, 2), (x, y) in input pixels.
            point_labels: float32 (N, P): 1 foreground, 0 background, -1 padding, 2 and 3 the corners of a box.
                Where there are points but nowhere a box, SAM's padding point is added.
            mask_input: logits (1, 1, 4h, 4w), the same for all prompts.
            has_mask_input: float32 (1,): 0: take no notice of ``mask_input``.

        Returns:
            logits (N, K, 4h, 4w), scores (N, K).
        """
        return self.decode(image_embeddings, self._embed_points(point_coords, point_labels), mask_input, has_mask_input)

    def decode(
        self, image_embeddings: Tensor, sparse: Tensor, mask_input: Tensor, has_mask_input: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode prompt tokens ``sparse`` (N, T, 256); the rest as for :meth:`forward`."""
        dense = torch.where(
            has_mask_input[:, None, None, None] > 0,
            self.prompt_encoder.mask_downscaling(mask_input),
            self.prompt_encoder.no_mask_embed.weight[:, :, None, None],
        )
        masks, scores = self.mask_decoder(
            image_embeddings, self.image_pe, sparse, dense, self.description.num_multimask_outputs
        )
        return masks, _stability_score(masks) if self.description.use_stability_score else scores

    def _embed_points(self, coordinates: Tensor, labels: Tensor) -> Tensor:
        tokens = self.prompt_encoder.embed_points(coordinates, labels, pad=True)
        has_box = (labels == TOP_LEFT_LABEL).sum().clamp(max=1)
        has_points = torch.ones_like(labels).sum().clamp(max=1).long()
        count = coordinates.shape[1] + has_points * (1 - has_box)
        return tokens[:, :count]


class PictureDecoderGraph(ExportedGraph):
    """The same, and logits of the picture's size behind them."""

    output_names = (*DecoderGraph.output_names, "masks")

    def __init__(self, sam: Sam, description: GraphDescription) -> None:
        super().__init__(description)
        self.decoder = DecoderGraph(sam, description)
        self.image_size = description.image_size

    def forward(
        self,
        image_embeddings: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        mask_input: Tensor,
        has_mask_input: Tensor,
        orig_im_size: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode and enlarge.

        Args:
            image_embeddings: see :class:`DecoderGraph`, as for the arguments that follow.
            point_coords: of the prompts.
            point_labels: of the prompts.
            mask_input: of the prompts.
            has_mask_input: of the prompts.
            orig_im_size: float32 (2,), height and width of the picture.

        Returns:
            logits (N, K, 4h, 4w), scores (N, K), logits (N, K, H, W).
        """
        masks, scores = self.decoder(image_embeddings, point_coords, point_labels, mask_input, has_mask_input)
        resized = (orig_im_size * (self.image_size / orig_im_size.max()) + 0.5).floor().clamp(min=1)
        rows, columns = (self._weights(orig_im_size[axis], resized[axis], masks.shape[-1]) for axis in (0, 1))
        return masks, scores, rows @ masks @ columns.T

    def _weights(self, original: Tensor, size: Tensor, low_side: int) -> Tensor:
        """Return how much of each low-resolution pixel is in each pixel of the picture, along one axis.

        SAM enlarges twice, to the padded square and from the picture in it: the product of two linear maps.
        """
        # A size out of a tensor: no int() here, a traced graph would keep the example's.
        pixels = torch.arange(cast(int, original.long()), device=original.device)
        to_picture = _bilinear((pixels + 0.5) * size / original - 0.5, size - 1, self.image_size)
        square = torch.arange(self.image_size, device=original.device)
        step = low_side / self.image_size
        return to_picture @ _bilinear((square + 0.5) * step - 0.5, torch.tensor(low_side - 1.0), low_side)


def _bilinear(positions: Tensor, last: Tensor, count: int) -> Tensor:
    """Return the weights (len(positions), count) that interpolate linearly at positions held between 0 and ``last``."""
    positions = torch.minimum(positions.clamp(min=0), last)
    return (1 - (positions[:, None] - torch.arange(count, device=positions.device)).abs()).clamp(min=0)


def encoder_graph(sam: Sam, description: GraphDescription) -> ExportedGraph:
    """Return the encoder that a description asks for."""
    return (PictureEncoderGraph if description.preprocess else EncoderGraph)(sam, description).eval()


def decoder_graph(sam: Sam, description: GraphDescription) -> ExportedGraph:
    """Return the decoder that a description asks for."""
    return (PictureDecoderGraph if description.postprocess else DecoderGraph)(sam, description).eval()


FreeSizes = dict[str, dict[int, Any] | None]
"""By input, the dimensions that stay free."""


def example_inputs(graph: ExportedGraph) -> tuple[dict[str, Tensor], FreeSizes]:
    """Return inputs to trace a graph with, and which of their sizes stay free."""
    side, free = graph.description.image_size, torch.export.Dim.DYNAMIC
    if isinstance(graph, PictureEncoderGraph):
        return {"image": torch.zeros(60, 80, 3, dtype=torch.uint8)}, {"image": {0: free, 1: free}}
    if isinstance(graph, EncoderGraph):
        return {"images": torch.zeros(1, 3, side, side)}, {"images": None}
    inputs = {
        "image_embeddings": torch.zeros(1, 256, side // 16, side // 16),
        "point_coords": torch.zeros(3, 2, 2),  # not 1: a size of 1 in an example would stay 1
        "point_labels": torch.ones(3, 2),
        "mask_input": torch.zeros(1, 1, side // 4, side // 4),
        "has_mask_input": torch.zeros(1),
    }
    if isinstance(graph, PictureDecoderGraph):
        inputs["orig_im_size"] = torch.tensor([60.0, 80.0])
    prompts = {"point_coords": {0: free, 1: free}, "point_labels": {0: free, 1: free}}
    return inputs, {name: prompts.get(name) for name in inputs}


class MatrixFusion(nn.Module):
    """The fusion of two strides whose upsampling is two matrices, for targets that lack bicubic interpolation.

    Interpolation is linear and treats rows and columns apart: its matrix is what it makes of each unit vector.
    """

    def __init__(self, fusion: FeatureFusion, side: int) -> None:
        super().__init__()
        self.stride16, self.stride32 = fusion.stride16, fusion.stride32
        unit = torch.eye(side)[None, :, :, None]  # (1, side, side, 1): one column for each channel
        columns = F.interpolate(unit, (2 * side, 1), mode=fusion.upsample_mode, align_corners=False)
        self.register_buffer("enlarge", columns[0, :, :, 0].T.contiguous(), persistent=False)

    def forward(self, stride16: Tensor, stride32: Tensor) -> Tensor:
        """Fuse (B, C, h, w) and (B, C', h/2, w/2) into (B, 256, h, w)."""
        enlarge = cast(Tensor, self.enlarge)
        return cast(Tensor, self.stride16(stride16) + enlarge @ self.stride32(stride32) @ enlarge.T)


def without_interpolation(encoder: nn.Module) -> nn.Module:
    """Put matrices in the place of interpolation in a folded encoder, in place."""
    if isinstance(encoder, RepViTImageEncoder) and encoder.fusion is not None:
        encoder.fusion = cast(FeatureFusion, MatrixFusion(encoder.fusion, encoder.image_size // 32))
    return encoder


class TwoStepSqueezeExcite(nn.Module):
    """Attention over channels, whose means are taken along rows, then along columns.

    ONNX Runtime adds up all positions one after the other: at 1024 px that costs an embedding a digit.
    """

    def __init__(self, block: SqueezeExcite) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of (B, C, h, w)."""
        block, pooled = self.block, x.mean(3, keepdim=True).mean(2, keepdim=True)
        return x * cast(Tensor, block.gate(block.fc2(block.act(block.bn(block.fc1(pooled))))))


def _pool_in_two_steps(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, SqueezeExcite):
            setattr(module, name, TwoStepSqueezeExcite(child))
        else:
            _pool_in_two_steps(child)


def _stability_score(logits: Tensor) -> Tensor:
    """Return the IoU of each mask at a higher and at a lower threshold, float32 (N, K); see SamPredictor."""
    smaller = (logits > MASK_THRESHOLD + STABILITY_OFFSET).sum(dim=(-1, -2))
    larger = (logits > MASK_THRESHOLD - STABILITY_OFFSET).sum(dim=(-1, -2))
    return smaller.float() / larger.clamp(min=1).float()


def _approximate_gelu(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.GELU):
            part.approximate = "tanh"
