"""The order in which images are seen: the same for any number of processes and workers, and resumed exactly."""

from collections.abc import Iterator
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from edge_sam.errors import EdgeSamError


class SamplerState(TypedDict):
    """What a checkpoint keeps of the data order."""

    length: int
    seed: int
    epoch: int
    images_seen: int


class ResumableSampler(Sampler[tuple[int, int]]):
    """Deals the images of an epoch to processes, and yields ``(epoch, index)`` for this one.

    The order of epoch ``e`` is the permutation that ``default_rng([seed, e])`` draws. It is cut into global batches of
    ``world_size * batch_size`` images, of which process ``rank`` takes its contiguous part; images at the end that fill
    no global batch are left out of this epoch. So step ``s`` sees the same
    images for any ``world_size`` and ``batch_size`` of equal product, and a position is a number of images, which
    holds for any.

    Iterating gives the rest of the current epoch and changes nothing: a ``DataLoader`` reads ahead, so only the trainer
    knows what was used. It calls :meth:`advance` after every batch::

        while sampler.epoch < epochs:
            for batch in loader:
                ...
                sampler.advance()

    Args:
        length: images of the data set.
        rank: of this process.
        world_size: number of processes.
        batch_size: images a process and batch.
        seed: of the permutations.

    Attributes:
        epoch: the current one, from 0.
        images_seen: images of the current epoch that all processes together have used.

    Raises:
        EdgeSamError: the data set does not fill one global batch.
    """

    def __init__(self, length: int, rank: int = 0, world_size: int = 1, batch_size: int = 1, seed: int = 0) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size} processes")
        self.global_batch = world_size * batch_size
        if length < self.global_batch:
            raise EdgeSamError(
                f"the data set has {length} images, fewer than one batch of all processes ({world_size} x {batch_size} "
                f"= {self.global_batch}): use a smaller batch, fewer processes or more images"
            )
        self.length = length
        self.rank = rank
        self.world_size = world_size
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.images_seen = 0

    @property
    def batches_per_epoch(self) -> int:
        """Global batches of a whole epoch."""
        return self.length // self.global_batch

    @property
    def batches_left(self) -> int:
        """Global batches that the current epoch still has."""
        return (self.length - self.images_seen) // self.global_batch

    def __len__(self) -> int:
        """Return how many images this process still gets in the current epoch."""
        return len(self._mine())

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate over the rest of the current epoch, as it stands now."""
        return iter([(self.epoch, index) for index in self._mine().tolist()])

    def advance(self, batches: int = 1) -> None:
        """Say that all processes have used so many more batches of this epoch; after its last the next one begins."""
        if batches > self.batches_left:
            raise ValueError(f"{batches} batches of an epoch that has {self.batches_left} left")
        self.set_position(self.epoch, self.images_seen + batches * self.global_batch)

    def set_position(self, epoch: int, images_seen: int = 0) -> None:
        """Go on in ``epoch`` after ``images_seen`` images (of all processes); at an epoch's end, in the next one."""
        if not 0 <= images_seen <= self.length or epoch < 0:
            raise ValueError(f"epoch {epoch}, image {images_seen} of {self.length}")
        self.epoch, self.images_seen = epoch, images_seen
        if self.batches_left == 0:
            self.epoch, self.images_seen = epoch + 1, 0

    def state_dict(self) -> SamplerState:
        """Return the position, and what it is only valid with."""
        return {"length": self.length, "seed": self.seed, "epoch": self.epoch, "images_seen": self.images_seen}

    def load_state_dict(self, state: SamplerState) -> None:
        """Go on where a sampler of the same data stood; processes and batch size may be others.

        Raises:
            EdgeSamError: the state is of another number of images or another seed.
        """
        checks = (("length", state["length"], self.length), ("seed", state["seed"], self.seed))
        for name, found, expected in checks:
            if found != expected:
                raise EdgeSamError(
                    f"the run cannot be continued: its data order has {name} {found}, this data set and configuration "
                    f"{expected}"
                )
        self.set_position(state["epoch"], state["images_seen"])

    def _mine(self) -> NDArray[np.int64]:
        rest = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)[self.images_seen :]
        whole = rest[: self.batches_left * self.global_batch]
        return whole.reshape(-1, self.world_size, self.batch_size)[:, self.rank].reshape(-1)
