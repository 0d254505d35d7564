"""The teacher-embedding store: one Zarr v3 group for the images of a split.

Arrays, one row an image, rows in the order of the sorted ids:

* ``embedding`` (N, 256, h, w), float16 or int8; a chunk is one image, a shard is the unit of work;
* ``scale`` (N, 256) float32, only with int8;
* ``status`` (N,) uint8: 0 not computed yet, 1 valid, 2 refused (the image is broken; its row is zeros);
* ``ids``: the image ids as UTF-8 bytes, one a line.

A shard is written by one process: ``embedding``, ``scale``, and last ``status``, each file under a temporary name that
is renamed when complete. So a shard whose status is not 0 is whole, whatever killed whoever was writing, and one whose
status is 0 is written again from its beginning. Shards depend on the number of images and not on the number of
processes, so any number of processes can go on. Every chunk carries a CRC-32C.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import Crc32cCodec

from edge_sam.embeddings.quantization import dequantize, quantize
from edge_sam.errors import EdgeSamError

FORMAT = "edge_sam teacher embeddings"
FORMAT_VERSION = 1
CHANNELS = 256
MISSING, VALID, REFUSED = 0, 1, 2

# A checksum and no compression. Measured on float16 embeddings of RepViT-M1 (256 / 1024 px): zstd saves 8 / 12 % of the
# disk, zstd after a bit shuffle 14 / 25 %, and reading a row of 1024 px takes 2 / 3 times as long (4 -> 10 / 13 ms).
COMPRESSORS = (Crc32cCodec(),)

# c.7.0.0.0 and not c/7/0/0/0: one folder instead of four for every shard.
_FLAT = {"name": "default", "separator": "."}

_SHARDS_WANTED = 64
_IMAGES_PER_SHARD = 64


@dataclass(frozen=True)
class StoreSpec:
    """What decides the numbers in a store: two stores of equal specs and ids hold the same."""

    teacher_type: str
    teacher_sha256: str
    fuse: bool | None
    """Neck of a RepViT teacher; None for teachers without that choice, like ``upsample_mode``."""
    upsample_mode: str | None
    image_size: int
    preprocessing: str
    precision: Literal["float32", "bfloat16"]
    """What the encoder computed in."""
    dtype: Literal["float16", "int8"]
    """What the store keeps."""

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """(256, h, w): a sixteenth of the image size."""
        return CHANNELS, self.image_size // 16, self.image_size // 16


def required_bytes(images: int, image_size: int, dtype: str) -> int:
    """Return the disk need of ``images`` embeddings, without the few kilobytes of the ids and the file system."""
    values = CHANNELS * (image_size // 16) ** 2
    return images * (values * 2 if dtype == "float16" else values + CHANNELS * 4)


def choose_images_per_shard(images: int, batch_size: int) -> int:
    """Return how many images a unit of work has: at most 64, fewer in a small set so that all processes get work.

    Whole batches, because batches do not reach over shards. Independent of the number of processes.
    """
    wanted = min(_IMAGES_PER_SHARD, -(-images // _SHARDS_WANTED))
    return -(-wanted // batch_size) * batch_size


class EmbeddingStore:
    """An open store, safe to hand to DataLoader workers: every process opens the arrays for itself, when it reads."""

    def __init__(self, path: Path, writable: bool) -> None:
        """Use :meth:`open` or :meth:`create`."""
        self.path = path
        self._writable = writable
        self._opened: tuple[int, dict[str, zarr.Array]] | None = None
        try:
            attributes = dict(zarr.open_group(path, mode="r").attrs)
        except (OSError, ValueError, TypeError) as error:  # TypeError: JSON that is no mapping
            raise EdgeSamError(
                f"{path}: no store of teacher embeddings; training/save_embedding.py makes one"
            ) from error
        if attributes.get("format") != FORMAT or attributes.get("format_version") != FORMAT_VERSION:
            found = f"{attributes.get('format')!r} version {attributes.get('format_version')}"
            raise EdgeSamError(f"{path}: holds {found}, expected {FORMAT!r} version {FORMAT_VERSION}: make it again")
        try:
            self.spec = StoreSpec(**{field.name: attributes[field.name] for field in fields(StoreSpec)})
            self.images_per_shard: int = attributes["images_per_shard"]
            self.ids = self._read_ids(attributes["ids_sha256"])
            for name in ("embedding", "status", *(("scale",) if self.spec.dtype == "int8" else ())):
                self._array(name)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise EdgeSamError(f"{path}: damaged, it lacks {error}: delete the store and make it again") from error

    @classmethod
    def open(cls, path: str | Path, writable: bool = False) -> Self:
        """Open an existing store.

        Raises:
            EdgeSamError: there is none, or it is not one of this format and version.
        """
        return cls(Path(path), writable)

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether a store was created at ``path``."""
        return (Path(path) / "zarr.json").is_file()

    @classmethod
    def create(cls, path: str | Path, spec: StoreSpec, ids: Sequence[str], images_per_shard: int) -> Self:
        """Create an empty store; it appears whole or not at all.

        Args:
            path: folder that does not exist yet.
            spec: what its numbers will be.
            ids: image ids, sorted, each once.
            images_per_shard: see :func:`choose_images_per_shard`; kept for the store's life.

        Raises:
            EdgeSamError: something is at ``path`` already.
        """
        path = Path(path)
        if list(ids) != sorted(set(ids)) or not ids or any("\n" in name for name in ids):
            raise ValueError("ids must be sorted, each once, at least one, and without line breaks")
        if path.exists():
            raise EdgeSamError(f"{path}: exists and is not a new store: choose another DISTILL.TEACHER_EMBED_PATH")
        unfinished = path.with_name(path.name + ".creating")
        shutil.rmtree(unfinished, ignore_errors=True)
        text = "\n".join(ids).encode()
        provenance = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(spec)}
        group = zarr.create_group(
            unfinished,
            attributes={
                **provenance,
                "images_per_shard": images_per_shard,
                "ids_sha256": hashlib.sha256(text).hexdigest(),
            },
        )
        group.create_array("ids", data=np.frombuffer(text, np.uint8), chunks=(len(text),))
        _create_row_arrays(group, spec, len(ids), images_per_shard)
        unfinished.rename(path)
        return cls(path, writable=True)

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _read_ids(self, sha256: str) -> tuple[str, ...]:
        text = self._array("ids")[:].tobytes()
        if hashlib.sha256(text).hexdigest() != sha256:
            raise EdgeSamError(f"{self.path}: the list of image ids is damaged: delete the store and make it again")
        return tuple(text.decode().split("\n"))

    def _array(self, name: str) -> zarr.Array:
        """Return an array opened by this process: Zarr's I/O thread does not survive a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), {}
        arrays = self._opened[1]
        if name not in arrays:
            arrays[name] = zarr.open_array(self.path / name, mode="r+" if self._writable else "r")
        return arrays[name]

    def _chunk_file(self, name: str, shard: int) -> Path:
        array = self._array(name)
        key: str = array.metadata.encode_chunk_key((shard, *[0] * (array.ndim - 1)))
        return self.path / name / key

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}

    @cached_property
    def status(self) -> npt.NDArray[np.uint8]:
        """(N,) what is known of each row, as of the first look (and of what this object wrote since)."""
        status: npt.NDArray[np.uint8] = self._array("status")[:]
        return status

    @property
    def valid_ids(self) -> tuple[str, ...]:
        """Ids whose embedding can be read."""
        return tuple(self.ids[row] for row in np.flatnonzero(self.status == VALID))

    @property
    def refused_ids(self) -> tuple[str, ...]:
        """Ids whose image was broken."""
        return tuple(self.ids[row] for row in np.flatnonzero(self.status == REFUSED))

    def count_refused(self) -> int:
        """Return how many rows are refused, by now and by all processes."""
        return int((self._array("status")[:] == REFUSED).sum())

    def row_of(self, image_id: str) -> int:
        """Return the row of an image.

        Raises:
            EdgeSamError: the store knows no such image.
        """
        try:
            return self._row_of[image_id]
        except KeyError:
            raise EdgeSamError(f"{self.path}: has no embedding of {image_id}: run training/save_embedding.py") from None

    def expect(
        self,
        expected: StoreSpec | Mapping[str, object],
        ids: Sequence[str] | None = None,
        *,
        remedy: str | None = None,
    ) -> None:
        """Insist that the store is the one that is meant.

        Args:
            expected: a whole spec, or the fields of :class:`StoreSpec` that the caller cares for.
            ids: the image ids it must hold, exactly, if given.
            remedy: what the user should do when it is another one; None says what one who fills a store should.

        Raises:
            EdgeSamError: naming the first field that differs, what was found, what was expected and what to do.
        """
        # Not "delete it": a mistyped setting is likelier than a store that nobody wants any more.
        remedy = remedy or "go on with what it was made with, or choose another DISTILL.TEACHER_EMBED_PATH"
        wanted = asdict(expected) if isinstance(expected, StoreSpec) else expected
        for name, value in wanted.items():
            found = getattr(self.spec, name)
            if found != value:
                raise EdgeSamError(f"{self.path}: was made with {name} {found!r}, expected {value!r}: {remedy}")
        if ids is not None and tuple(ids) != self.ids:
            here, there = set(self.ids), set(ids)
            raise EdgeSamError(
                f"{self.path}: was made for {len(here)} images, expected {len(there)}; {len(here - there)} of its "
                f"images are not in the data now and {len(there - here)} of the data are not in it: {remedy}"
            )

    @property
    def shard_count(self) -> int:
        """Number of units of work."""
        return -(-len(self) // self.images_per_shard)

    def shard_rows(self, shard: int) -> range:
        """Return the rows of a shard; the last one may be shorter."""
        start = shard * self.images_per_shard
        return range(start, min(start + self.images_per_shard, len(self)))

    def missing_shards(self) -> list[int]:
        """Return the shards that are still to be written, as of the first look at :attr:`status`."""
        return [shard for shard in range(self.shard_count) if self.status[self.shard_rows(shard).start] == MISSING]

    def write_shard(self, shard: int, embeddings: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_]) -> None:
        """Write all rows of a shard at once.

        Args:
            shard: its number.
            embeddings: (n, 256, h, w) for its n rows; what stands in rows that are not valid is not kept.
            valid: (n,) whether the image could be read.

        Raises:
            EdgeSamError: an embedding holds a value that is no number or too large for float16; nothing is written.
        """
        rows = self.shard_rows(shard)
        if embeddings.shape != (len(rows), *self.spec.embedding_shape) or valid.shape != (len(rows),):
            raise ValueError(
                f"shard {shard} has {len(rows)} rows of {self.spec.embedding_shape}, not {embeddings.shape}"
            )
        with np.errstate(over="ignore"):
            values = np.where(valid[:, None, None, None], embeddings, 0).astype(np.float16)
        finite = np.isfinite(values).all(axis=(1, 2, 3))
        if not finite.all():
            image_id = self.ids[rows[int(np.argmin(finite))]]
            raise EdgeSamError(
                f"{image_id}: the teacher's embedding holds values that are no numbers or beyond float16's "
                f"65504: is the teacher's checkpoint sound (and, with AMP_ENABLE, does float32 help)?"
            )
        # Zarr would read an old shard before it replaces it, and fail where that one is damaged.
        self._chunk_file("status", shard).unlink(missing_ok=True)
        self._chunk_file("embedding", shard).unlink(missing_ok=True)
        part = slice(rows.start, rows.stop)
        if self.spec.dtype == "int8":
            self._array("embedding")[part], self._array("scale")[part] = quantize(values)
        else:
            self._array("embedding")[part] = values
        self.status[part] = np.where(valid, VALID, REFUSED)
        self._array("status")[part] = self.status[part]

    def read(self, rows: Sequence[int]) -> npt.NDArray[np.float16]:
        """Return the embeddings (n, 256, h, w) of some rows, in their order.

        Raises:
            EdgeSamError: a row is missing or refused, or its shard is damaged.
        """
        return np.stack([self._read_row(int(row)) for row in rows])

    def _read_row(self, row: int) -> npt.NDArray[np.float16]:
        if self.status[row] != VALID:
            why = (
                "was refused" if self.status[row] == REFUSED else "is not computed yet: run training/save_embedding.py"
            )
            raise EdgeSamError(f"{self.path}: the embedding of {self.ids[row]} {why}")
        marker = self._chunk_file("status", row // self.images_per_shard)
        remedy = f"delete {marker} and run training/save_embedding.py again"
        try:
            stored = self._array("embedding")[row]
            scale = self._array("scale")[row] if self.spec.dtype == "int8" else None
        except (OSError, ValueError) as error:
            raise EdgeSamError(f"{self.path}: the embedding of {self.ids[row]} is damaged: {remedy}") from error
        # What was never written reads as the fill value, which no embedding contains.
        if _is_fill(stored.flat[0]) or (scale is not None and _is_fill(scale[0])):
            raise EdgeSamError(f"{self.path}: the embedding of {self.ids[row]} is lost: {remedy}")
        embedding: npt.NDArray[np.float16] = stored if scale is None else dequantize(stored[None], scale[None])[0]
        return embedding


def _create_row_arrays(group: zarr.Group, spec: StoreSpec, images: int, images_per_shard: int) -> None:
    group.create_array(
        "embedding",
        shape=(images, *spec.embedding_shape),
        dtype=spec.dtype,
        chunks=(1, *spec.embedding_shape),
        shards=(images_per_shard, *spec.embedding_shape),
        fill_value=float("nan") if spec.dtype == "float16" else -128,
        compressors=COMPRESSORS,
        chunk_key_encoding=_FLAT,
        dimension_names=("image", "channel", "y", "x"),
    )
    if spec.dtype == "int8":
        group.create_array(
            "scale",
            shape=(images, CHANNELS),
            dtype="float32",
            chunks=(images_per_shard, CHANNELS),
            fill_value=float("nan"),
            compressors=COMPRESSORS,
            chunk_key_encoding=_FLAT,
            dimension_names=("image", "channel"),
        )
    group.create_array(
        "status",
        shape=(images,),
        dtype="uint8",
        chunks=(images_per_shard,),
        fill_value=MISSING,
        compressors=COMPRESSORS,
        chunk_key_encoding=_FLAT,
        dimension_names=("image",),
    )


def _is_fill(value: np.number) -> bool:
    return bool(np.isnan(value) or (value.dtype == np.int8 and value == -128))
