"""A model that finds what has the colour of the point: nested, overlapping and repeated masks of any picture."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_sam.modeling.sam import Sam


class Colours(nn.Module):
    """Colours, 64 x 64."""

    def forward(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 4)


class Points(nn.Module):
    """Coordinates as they are."""

    image_embedding_size = (16, 16)

    def __init__(self):
        super().__init__()
        self.no_mask_embed = nn.Embedding(1, 1)

    def forward(self, points, boxes, masks):
        assert boxes is None and masks is None
        if points is None:
            return None, self.no_mask_embed.weight
        assert (points[1] == 1).all()
        return points[0], self.no_mask_embed.weight.expand(len(points[0]), 1)

    def get_dense_pe(self):
        return None


class LikenessDecoder(nn.Module):
    """Three masks, of what is more and less like the point; scores that nobody shares."""

    def __init__(self):
        super().__init__()
        self.points = 0
        self.masks = 0

    def forward(self, colours, pe, sparse, dense, num_multimask_outputs):
        assert len(colours) == 1 and num_multimask_outputs == 3
        self.points += len(sparse)
        column, row = (sparse[:, 0] / 4).long().clamp(max=63).T
        of_point = colours[0][:, row, column].T
        difference = (colours - of_point[:, :, None, None]).norm(dim=1)
        logits = 10 * (torch.tensor([0.15, 0.6, 1.5])[None, :, None, None] - difference[:, None])
        return logits, 0.5 + 0.5 * torch.sin(1000 * (logits.mean(dim=(2, 3)) + of_point.sum(1)[:, None])) ** 2


class LikenessCandidates:
    """Five prompts at a time; in the place of SharedImageDecoder and its Candidates."""

    def __init__(self, decoder, colours, sparse=None, count=None):
        self.decoder, self.colours = decoder, colours
        if sparse is not None:
            self.all, self.iou = decoder(colours, None, sparse, None, count)

    def candidates(self, sparse, count):
        for part in sparse.split(5):
            yield LikenessCandidates(self.decoder, self.colours, part, count)

    def logits(self, wanted):
        self.decoder.masks += int(wanted.sum())
        return self.all[wanted]

    def samples(self, wanted, positions):
        row, column = 4 * (positions // 16), 4 * (positions % 16)
        pixels = [(row + y, column + x) for y in (0, 2) for x in (0, 2)]
        return torch.cat([self.all[wanted][:, row, column] for row, column in pixels], dim=1)


class LikenessImage:
    """In the place of ImageDecoder."""

    def __init__(self, sam, embedding):
        self.sam, self.embedding = sam, embedding
        self.shared = LikenessCandidates(sam.mask_decoder, embedding)

    def __call__(self, points, boxes, masks, num_multimask_outputs):
        sparse, dense = self.sam.prompt_encoder(points, boxes, masks)
        return self.sam.mask_decoder(self.embedding, None, sparse, dense, num_multimask_outputs)


class LikenessSam(nn.Module):
    """Has the interface of :class:`Sam` that automatic masks use."""

    image_size = 256
    postprocess_masks = Sam.postprocess_masks

    def __init__(self):
        super().__init__()
        self.image_encoder = Colours()
        self.prompt_encoder = Points()
        self.mask_decoder = LikenessDecoder()

    def decoder_for(self, embedding):
        return LikenessImage(self, embedding)
