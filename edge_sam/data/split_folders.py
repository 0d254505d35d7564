"""The folders of one split in SA-1B's layout, while they are being filled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_sam.atomic_writing import TEMPORARY_SUFFIX
from edge_sam.exclusive_lock import exclusive_lock


@dataclass(frozen=True)
class SplitFolders:
    """Where the files of one split go.

    Attributes:
        images: ``NAME.jpg``.
        annotations: ``NAME.json``.
        notes: what the preparation has to remember.
    """

    images: Path
    annotations: Path
    notes: Path

    @classmethod
    def under(cls, destination: Path, split: str) -> "SplitFolders":
        """Name the folders of a split; they need not be there yet."""
        return cls(
            destination / "images" / split, destination / "annotations" / split, destination / ".prepared" / split
        )

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the folders, keep other runs out, and clear away what a killed one left unfinished.

        Raises:
            EdgeSamError: another run is at work here.
        """
        folders = (self.images, self.annotations, self.notes)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        busy = f"{self.notes}: another run is preparing this split; wait for its end"
        with exclusive_lock(self.notes / "lock", busy):
            for folder in folders:
                for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
                    leftover.unlink()
            yield
