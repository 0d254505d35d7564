"""The masks that a model found in an image, as little as counting them needs."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_sam.evaluation.ap_protocol import COCO_MASKS_A_CATEGORY, LVIS_MASKS_AN_IMAGE, Style


@dataclass(frozen=True)
class ScoredMasks:
    """The n masks that were found in an image.

    Attributes:
        index: of the image in the data set.
        size: (H, W) of the image.
        counts: n masks as text: compressed run lengths of pycocotools' form.
        scores: float64 (n,).
        categories: int64 (n,), ids.
    """

    index: int
    size: tuple[int, int]
    counts: list[str]
    scores: NDArray[np.float64]
    categories: NDArray[np.int64]

    def __len__(self) -> int:
        """Return n."""
        return len(self.counts)

    def mask(self, number: int) -> dict[str, Any]:
        """Return a mask in pycocotools' form."""
        return {"size": list(self.size), "counts": self.counts[number]}

    def countable(self, style: Style, looked_for: Collection[int] | None = None) -> "ScoredMasks":
        """Return those that the rules can count, in the same order: the best of each category, or of all for LVIS.

        Args:
            style: whose rules.
            looked_for: the only categories that count in this image; None for all.
        """
        best = np.argsort(-self.scores, kind="stable")
        if style == "lvis":
            kept = best[:LVIS_MASKS_AN_IMAGE]
        else:
            own = [best[self.categories[best] == category] for category in np.unique(self.categories)]
            kept = np.concatenate([best[:0], *(one[:COCO_MASKS_A_CATEGORY] for one in own)])
        if looked_for is not None:
            kept = kept[np.isin(self.categories[kept], list(looked_for))]
        kept = np.sort(kept)
        counts = [self.counts[number] for number in kept.tolist()]
        return ScoredMasks(self.index, self.size, counts, self.scores[kept], self.categories[kept])
