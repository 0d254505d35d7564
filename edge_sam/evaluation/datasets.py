"""The data sets that numbers are of, by the name that ``--dataset`` knows, and which of their images."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_sam.atomic_writing import write_atomically
from edge_sam.config import RunConfig
from edge_sam.data.coco_dataset import COCO_LAYOUTS, CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.data.sources import read_name_list
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import file_sha256
from edge_sam.settings import DataSettings

DATASETS = ("sa", *COCO_LAYOUTS)
COCO_FOLDER = "datasets"
"""Where ``coco/`` and ``lvis/`` are looked for; a configuration's DATA.DATA_PATH is a folder of SA-1B's layout."""

_HELP = {
    "sa": "sa: SA-1B's layout in --data-path (default DATA.DATA_PATH)",
    "coco": f"coco, lvis, cocofied_lvis: the folder with coco/ and lvis/ (default {COCO_FOLDER}/)",
}


def add_dataset_arguments(parser: argparse.ArgumentParser, names: Sequence[str] = DATASETS) -> None:
    """Add ``--dataset``, the first of ``names`` where it is not given, ``--num-samples`` and ``--image-list``."""
    layouts = "; ".join(text for name, text in _HELP.items() if name in names)
    parser.add_argument("--dataset", default=names[0], metavar="NAME", help=f"{layouts}; default {names[0]}")
    parser.set_defaults(datasets=tuple(names))
    parser.add_argument(
        "--num-samples", type=int, metavar="N", help="the first N images by name (default DATA.NUM_SAMPLES)"
    )
    parser.add_argument(
        "--image-list", type=Path, metavar="FILE",
        help="only the images whose names, one a line, are in FILE; if there is none yet, those used are written there",
    )  # fmt: skip


def dataset_path(namespace: argparse.Namespace, config: RunConfig) -> str:
    """Return the folder that ``--dataset`` is read from."""
    return config.DATA.DATA_PATH if namespace.dataset == "sa" else namespace.data_path or COCO_FOLDER


def open_dataset(namespace: argparse.Namespace, config: RunConfig) -> Sa1bDataset | CocoDataset:
    """Open the validation split that ``--dataset`` names, of it the images asked for that are annotated.

    Raises:
        EdgeSamError: no such data set, it cannot be opened, or lacks a listed image.
    """
    _expect_known(namespace)
    if namespace.dataset != "sa":
        return open_coco(namespace, config)
    number, listed = _number(namespace, config), _listed(namespace)
    path, size = dataset_path(namespace, config), config.DATA.IMG_SIZE
    return Sa1bDataset(path, "val", size, number, image_ids=listed, keep_annotations=True)


def open_coco(namespace: argparse.Namespace, config: RunConfig, *, annotated_only: bool = True) -> CocoDataset:
    """Open a data set of COCO's form as :func:`open_dataset` does, without annotations too if wanted."""
    _expect_known(namespace)
    path, size = dataset_path(namespace, config), config.DATA.IMG_SIZE
    number, listed = _number(namespace, config), _listed(namespace)
    return CocoDataset(path, namespace.dataset, size, number, image_ids=listed, annotated_only=annotated_only)


def pin_images(namespace: argparse.Namespace, image_ids: Sequence[str]) -> None:
    """Write the list of images that ``--image-list`` names, where there is none yet. One process calls this."""
    if namespace.image_list is not None and not namespace.image_list.exists():
        namespace.image_list.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(namespace.image_list, "".join(f"{name}\n" for name in image_ids))
        print(f"{namespace.image_list}: written, {len(image_ids)} images; later runs take these", flush=True)


def chosen_images(namespace: argparse.Namespace, config: RunConfig) -> str:
    """Return in words which images of which data set are measured; a list must have been written."""
    return f"{namespace.dataset}, {images_in_words(_number(namespace, config), namespace.image_list)}"


def images_in_words(number: int, image_list: Path | None) -> str:
    """Say which images are taken: the first so many, -1 for all, or those of a list, by its name and hash."""
    if image_list is not None:
        return f"images of {image_list.name} (sha256 {file_sha256(image_list)[:12]})"
    return "all images" if number == -1 else f"first {number} images by name"


def unusual_choice(namespace: argparse.Namespace, config: RunConfig) -> dict[str, Any]:
    """Return by which options other images than all of a data set in its usual folder are measured.

    A list stands by its path alone, so the run that writes it and those that take it make the same choice.
    """
    folder, usual = Path(dataset_path(namespace, config)).resolve(), Path(_usual_path(namespace.dataset)).resolve()
    elsewhere = {} if folder == usual else {"data_path": str(folder)}
    if namespace.image_list is not None:
        return elsewhere | {"image_list": str(namespace.image_list.resolve())}
    number = _number(namespace, config)
    return elsewhere if number == -1 else elsewhere | {"num_samples": number}


def _usual_path(dataset: str) -> str:
    return DataSettings().DATA_PATH if dataset == "sa" else COCO_FOLDER


def _expect_known(namespace: argparse.Namespace) -> None:
    if namespace.dataset not in namespace.datasets:
        raise EdgeSamError(f"--dataset {namespace.dataset}: no such data set; there is {', '.join(namespace.datasets)}")


def _number(namespace: argparse.Namespace, config: RunConfig) -> int:
    return config.DATA.NUM_SAMPLES if namespace.num_samples is None else namespace.num_samples


def _listed(namespace: argparse.Namespace) -> list[str] | None:
    if namespace.image_list is None or not namespace.image_list.exists():
        return None
    return read_name_list(namespace.image_list)
