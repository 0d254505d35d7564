"""What a user has said so far about each of N masks."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prompts:
    """Boxes, points or both, for N masks; coordinates in input pixels.

    Attributes:
        boxes: (N, 4) float, XYXY.
        points: (N, P, 2) float, (x, y).
        labels: (N, P) int: 1 foreground, 0 background, -1 padding, -2 ignored click.
    """

    boxes: Tensor | None = None
    points: Tensor | None = None
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.boxes is None and self.points is None:
            raise ValueError("prompts need boxes, points or both")
        if self.boxes is not None and (self.boxes.ndim != 2 or self.boxes.shape[1] != 4):
            raise ValueError(f"boxes must be (N, 4), found {tuple(self.boxes.shape)}")
        if (self.points is None) != (self.labels is None):
            raise ValueError("points and labels come together")
        if self.points is not None and self.labels is not None:
            if self.points.ndim != 3 or self.points.shape != (*self.labels.shape, 2):
                found = f"{tuple(self.points.shape)} and {tuple(self.labels.shape)}"
                raise ValueError(f"points and labels must be (N, P, 2) and (N, P), found {found}")
            if self.boxes is not None and len(self.boxes) != len(self.points):
                raise ValueError(f"{len(self.boxes)} boxes, but points for {len(self.points)} masks")

    @classmethod
    def from_boxes(cls, boxes: Tensor) -> Self:
        """Start from boxes (N, 4)."""
        return cls(boxes=boxes)

    @classmethod
    def from_points(cls, points: Tensor) -> Self:
        """Start from foreground points (N, P, 2)."""
        return cls(points=points, labels=torch.ones(points.shape[:2], dtype=torch.int64, device=points.device))

    def __len__(self) -> int:
        """Return N."""
        first = self.boxes if self.boxes is not None else self.points
        assert first is not None
        return len(first)

    @property
    def points_and_labels(self) -> tuple[Tensor, Tensor] | None:
        """The points as the prompt encoder takes them; None where there are boxes alone."""
        return None if self.points is None or self.labels is None else (self.points, self.labels)

    def add_points(self, points: Tensor, labels: Tensor) -> "Prompts":
        """Return these prompts and, after the earlier points, ``points`` (N, K, 2) with ``labels`` (N, K)."""
        if self.points is None or self.labels is None:
            return Prompts(self.boxes, points, labels)
        return Prompts(
            self.boxes,
            torch.cat([self.points, points.to(self.points.dtype)], dim=1),
            torch.cat([self.labels, labels.to(self.labels.dtype)], dim=1),
        )

    def to(self, device: torch.device | str) -> "Prompts":
        """Return the prompts on ``device``."""
        return Prompts(*(None if part is None else part.to(device) for part in (self.boxes, self.points, self.labels)))
