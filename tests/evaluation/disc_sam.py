"""A model whose masks can be foretold: discs around prompts, so that clicks have a visible effect."""

import torch
from torch import Tensor, nn

from edge_sam.modeling.sam import Sam

RADII = (20.0, 8.0, 45.0, 25.0)
"""Of the four masks' discs in input pixels, before the image's brightness scales them."""


class DiscEncoder(nn.Module):
    """The picture's mean brightness, everywhere: a wrong pairing of image and prompt shows."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))[:, None, None, None].expand(-1, 256, 16, 16)


class DiscPrompts(nn.Module):
    """Positions and labels as they are; a box counts as a point in its middle."""

    def forward(self, points, boxes, masks):
        assert masks is None
        tokens = []
        if boxes is not None:
            middle = boxes.view(-1, 1, 2, 2).mean(dim=2)
            tokens.append(torch.cat([middle, torch.ones_like(middle[..., :1])], dim=-1))
        if points is not None:
            tokens.append(torch.cat([points[0], points[1][..., None].to(points[0].dtype)], dim=-1))
        return torch.cat(tokens, dim=1), None

    def get_dense_pe(self):
        return None


class DiscDecoder(nn.Module):
    """A disc around the first token; a small one more or less for every later click."""

    def forward(self, embedding, pe, sparse, dense, num_multimask_outputs, image_index=None):
        assert len(embedding) == 1
        axis = torch.arange(64, dtype=torch.float32) * 4
        distance = torch.hypot(axis[None, :] - sparse[..., :1, None], axis[:, None] - sparse[..., 1:2, None])
        radius = torch.tensor(RADII) * (1 + 0.1 * embedding[0, 0, 0, 0].tanh())
        logits = radius[None, :, None, None] - distance[:, :1]
        for token in range(1, sparse.shape[1]):
            near = (distance[:, token] < 12)[:, None]
            for label, value in ((1, 50.0), (0, -50.0)):
                said = (sparse[:, token, 2] == label)[:, None, None, None]
                logits = torch.where(near & said, torch.full_like(logits, value), logits)
        scores = torch.tensor([0.5, 0.2, 0.9, 0.4]).expand(len(sparse), 4)
        kept = {1: slice(0, 1), 3: slice(1, 4), 4: slice(0, 4)}[num_multimask_outputs]
        return logits[:, kept], scores[:, kept]


class DiscSam(nn.Module):
    """Has the interface of :class:`Sam` that the evaluation uses."""

    image_size = 256
    preprocess = Sam.preprocess
    postprocess_masks = Sam.postprocess_masks

    def __init__(self):
        super().__init__()
        self.image_encoder = DiscEncoder()
        self.prompt_encoder = DiscPrompts()
        self.mask_decoder = DiscDecoder()

    def decoder_for(self, embedding):
        def decode(points, boxes, masks, num_multimask_outputs):
            sparse, dense = self.prompt_encoder(points, boxes, masks)
            return self.mask_decoder(embedding, None, sparse, dense, num_multimask_outputs)

        return decode


def watch_number_formats(sam: nn.Module, formats: list[torch.dtype]) -> None:
    """Note in ``formats`` the number format of autocast, float32 without, each time a network computes."""

    def note(*_: object) -> None:
        formats.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)

    for network in (sam.image_encoder, sam.mask_decoder):
        network.register_forward_pre_hook(note)
