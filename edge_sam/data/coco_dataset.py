"""COCO and LVIS for evaluation: read as their files are, in the folders where everybody has them."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from edge_sam.data.annotations import Annotation, BrokenSample, annotation_name
from edge_sam.data.coco_annotations import parse_single_object
from edge_sam.data.coco_instances import CocoImage, Entry, file_name, read_coco
from edge_sam.data.identity import coco_identity
from edge_sam.data.image_list import choose_images
from edge_sam.data.sa1b import Refusal, Sample
from edge_sam.data.sources import read_file
from edge_sam.data.transforms import decode_image, resize_image, scale_boxes
from edge_sam.errors import EdgeSamError


def name_in_url(entry: Entry) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return where LVIS says that an image's picture lies: the last two parts of its ``coco_url``."""
    url = entry.get("coco_url")
    return "/".join(url.split("/")[-2:]) if isinstance(url, str) else url


@dataclass(frozen=True)
class CocoLayout:
    """Where the files of a data set lie, below the folder that holds ``coco/`` and ``lvis/``.

    Attributes:
        annotation_file: its instances file.
        picture_folder: the folder that its pictures' paths start from.
        picture_of: gives the path of an image's picture by its entry.
        is_lvis: which categories were looked for in an image is part of the annotations.
    """

    annotation_file: str
    picture_folder: str
    picture_of: Callable[[Entry], Any] = file_name
    is_lvis: bool = False


COCO_LAYOUTS = {
    "coco": CocoLayout("coco/annotations/instances_val2017.json", "coco/val2017"),
    "lvis": CocoLayout("lvis/lvis_v1_val.json", "coco", name_in_url, is_lvis=True),
    "cocofied_lvis": CocoLayout("lvis/lvis_v0.5_val_cocofied.json", "coco", name_in_url, is_lvis=True),
}
"""The validation splits, by the name that they are evaluated under."""


class CocoDataset(Dataset[Sample]):
    """Images of a COCO or LVIS file, in the order of their names, each with the masks of its single objects.

    Crowds are left out. COCO has no points: samples come without, and :meth:`Annotation.first_point` makes them.

    Args:
        root: the folder that holds ``coco/`` and ``lvis/``.
        name: one of :data:`COCO_LAYOUTS`.
        image_size: longest side of the resized image, and side of the padded square.
        num_samples: use only the first so many images by name, annotated or not; -1 for all.
        image_ids: use the images of these names instead.
        annotated_only: leave out images without a single object. False: they give samples without one.

    Attributes:
        ids: the images' names without their endings, sorted.
        unannotated: how many of the chosen images were left out because there is no single object in them.
        crowds: how many crowds there are in the images used.
        image_numbers: of all images of the file, used or not.
        categories: the entries of the file's categories.

    Raises:
        EdgeSamError: no such file or folder, not of COCO's form, not a single picture there, not one image to use.
    """

    keep_annotations = True

    def __init__(
        self,
        root: str | Path,
        name: str,
        image_size: int,
        num_samples: int = -1,
        *,
        image_ids: Collection[str] | None = None,
        annotated_only: bool = True,
    ) -> None:
        self.layout = COCO_LAYOUTS[name]
        self.annotation_file = Path(root) / self.layout.annotation_file
        self._picture_folder = Path(root) / self.layout.picture_folder
        for path in (self.annotation_file, self._picture_folder):
            if not path.exists():
                raise EdgeSamError(
                    f"{path}: is not there; {name} is read from {self.layout.annotation_file} and "
                    f"{self.layout.picture_folder}/ in the folder of data sets (name it by --data-path)"
                )
        content = read_coco(self.annotation_file, self.layout.picture_of)
        self.categories = content.categories
        self.image_numbers = frozenset(image.entry["id"] for image in content.images)
        names = tuple(image.name for image in content.images)
        chosen = set(choose_images(names, num_samples, image_ids, str(self.annotation_file)))
        self.images = [
            image
            for image in content.images
            if image.name in chosen and (not annotated_only or any(map(_is_single, image.annotations)))
        ]
        if not self.images:
            raise EdgeSamError(f"{self.annotation_file}: none of {len(chosen)} chosen images has a single object")
        if not any(self._picture(image).is_file() for image in self.images):
            raise EdgeSamError(
                f"{self._picture_folder}: lacks all {len(self.images)} pictures, e.g. {self.images[0].path}"
            )
        self.ids = tuple(image.name for image in self.images)
        self.unannotated = len(chosen) - len(self.images)
        self.crowds = sum(not _is_single(entry) for image in self.images for entry in image.annotations)
        self.image_size = image_size

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """Return an image with its single objects; broken annotations are told in ``Sample.refusals``.

        Raises:
            BrokenSample: no such picture, a broken one, one of another size, or there are objects and all are broken.
        """
        image = self.images[index]
        pixels = resize_image(self.read_picture(index), self.image_size)
        objects, refusals = self.single_objects(index)
        annotations = [annotation for annotation, _ in objects]
        if refusals and not annotations:
            raise BrokenSample(f"none of the {len(refusals)} annotations is usable; the first: {refusals[0].reason}")
        original_size, size = (image.height, image.width), (pixels.shape[1], pixels.shape[2])
        boxes = np.array([annotation.box_xyxy for annotation in annotations]).reshape(-1, 4)
        return Sample(
            image_id=image.name,
            index=index,
            image=pixels,
            size=size,
            original_size=original_size,
            side=self.image_size,
            boxes=torch.from_numpy(scale_boxes(boxes, original_size, size)).float(),
            points=torch.zeros(len(annotations), 0, 2),
            noise=torch.zeros(len(annotations), 0),
            refusals=refusals,
            annotations=annotations,
        )

    def read_picture(self, index: int) -> Image.Image:
        """Return an image's picture, RGB, at its file's size.

        Raises:
            BrokenSample: no such picture, a broken one, or one of another size than its entry says.
        """
        image = self.images[index]
        picture = decode_image(read_file(self._picture(image)))
        if picture.size != (image.width, image.height):
            raise BrokenSample(
                f"picture is {picture.width} x {picture.height} pixels, its entry speaks of "
                f"{image.width} x {image.height}"
            )
        return picture

    def picture_sha256(self, index: int) -> str:
        """Return the SHA-256, in hexadecimal, of the file of an image's picture, which is read for it.

        Raises:
            BrokenSample: no such picture.
        """
        return hashlib.sha256(read_file(self._picture(self.images[index]))).hexdigest()

    def identity(self) -> str:
        """Return what another data set of this name does not have, see :mod:`edge_sam.data.identity`."""
        return coco_identity(self.annotation_file, [self._picture(image) for image in self.images])

    def single_objects(self, index: int) -> tuple[list[tuple[Annotation, Entry]], tuple[Refusal, ...]]:
        """Return an image's sound annotations, without its crowds, as read and as in the file; and what others lack."""
        image = self.images[index]
        objects: list[tuple[Annotation, Entry]] = []
        refusals: list[Refusal] = []
        for position, entry in enumerate(image.annotations):
            if not _is_single(entry):
                continue
            name = annotation_name(entry, position)
            try:
                annotation = parse_single_object(entry, (image.height, image.width))
                objects.append((replace(annotation, name=name), entry))
            except BrokenSample as error:
                refusals.append(Refusal(image.name, f"annotation {name}: {error}", "annotation"))
        return objects, tuple(refusals)

    def _picture(self, image: CocoImage) -> Path:
        return self._picture_folder / image.path


def _is_single(entry: Entry) -> bool:
    return not entry.get("iscrowd")
