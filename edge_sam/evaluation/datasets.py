"""The data sets that numbers are of, by the name that ``--dataset`` knows."""

import argparse

from edge_sam.config import RunConfig
from edge_sam.data.coco_dataset import COCO_LAYOUTS, CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.errors import EdgeSamError

DATASETS = ("sa", *COCO_LAYOUTS)
COCO_FOLDER = "datasets"
"""Where ``coco/`` and ``lvis/`` are looked for; a configuration's DATA.DATA_PATH is a folder of SA-1B's layout."""

DATASET_HELP = (
    "sa: SA-1B's layout in --data-path (default DATA.DATA_PATH); coco, lvis, cocofied_lvis: the folder with coco/ and "
    f"lvis/ (default {COCO_FOLDER}/)"
)


def dataset_path(namespace: argparse.Namespace, config: RunConfig) -> str:
    """Return the folder that ``--dataset`` is read from."""
    return config.DATA.DATA_PATH if namespace.dataset == "sa" or namespace.data_path else COCO_FOLDER


def open_dataset(namespace: argparse.Namespace, config: RunConfig) -> Sa1bDataset | CocoDataset:
    """Open the validation split that ``--dataset`` names, of it the first ``--num-samples`` images.

    Raises:
        EdgeSamError: no such data set, or it cannot be opened.
    """
    if namespace.dataset not in DATASETS:
        raise EdgeSamError(f"--dataset {namespace.dataset}: no such data set; there is {', '.join(DATASETS)}")
    number = config.DATA.NUM_SAMPLES if namespace.num_samples is None else namespace.num_samples
    path, size = dataset_path(namespace, config), config.DATA.IMG_SIZE
    if namespace.dataset == "sa":
        return Sa1bDataset(path, "val", size, number, keep_annotations=True)
    return CocoDataset(path, namespace.dataset, size, number)
