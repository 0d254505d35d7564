"""Models for comparisons that need no weights: discs of different sizes, which count how often they were opened."""

from dataclasses import dataclass, field

import torch

from edge_sam.evaluation.compared_models import ComparedModel
from tests.evaluation.disc_sam import DiscSam, watch_number_formats


@dataclass
class Disc:
    """A disc model.

    Attributes:
        name: also its hash.
        bias: of the logits, in pixels: the larger, the larger the discs.
        opened: how often.
        encoded: how many images, by batch.
        formats: number formats that its networks computed in.
    """

    name: str
    bias: float = 0.0
    opened: int = 0
    encoded: list[int] = field(default_factory=list)
    formats: list[torch.dtype] = field(default_factory=list)
    stop_after: int | None = None

    def model(self) -> ComparedModel:
        """Describe it as the files of real ones are."""
        return ComparedModel(
            name=self.name,
            source=f"{self.name}.pth",
            sha256=self.name.ljust(64, "0"),
            network={"bias": str(self.bias)},
            kind="a disc, 256 px",
            image_size=256,
            parameters=None,
            device=torch.device("cpu"),
            open=self.open,
        )

    def open(self) -> DiscSam:
        """Make it, and end it after some batches where that is wanted."""
        self.opened += 1
        sam = DiscSam()
        watch_number_formats(sam, self.formats)
        encode, decode = sam.image_encoder.forward, sam.mask_decoder.forward

        def encode_and_count(images):
            if self.stop_after is not None and len(self.encoded) == self.stop_after:
                raise KeyboardInterrupt
            self.encoded.append(len(images))
            return encode(images)

        def decode_with_bias(*given):
            masks, scores = decode(*given)
            return masks + self.bias, scores

        sam.image_encoder.forward = encode_and_count
        sam.mask_decoder.forward = decode_with_bias
        return sam
