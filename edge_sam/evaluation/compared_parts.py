"""What is compared, and what came of it: the plain values between measuring and writing."""

from dataclasses import dataclass
from pathlib import Path

from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.evaluation.case_masks import CaseMasks
from edge_sam.evaluation.compared_models import ComparedModel
from edge_sam.evaluation.comparison import Case, Comparison
from edge_sam.evaluation.measurements import MeasuredData, Pace
from edge_sam.evaluation.suites import SuitePart

MEASURED_FOLDER = "measured"
"""In the folder of a comparison: a file a model, protocol and data set."""


@dataclass(frozen=True)
class ComparisonRequest:
    """What to compare.

    Attributes:
        models: the others are compared with the first.
        parts: data sets and protocols.
        data_path: the folder with ``SA-1B/``, ``coco/`` and ``lvis/``; for "sa" also that of SA-1B's layout itself.
        folder: for everything that is written.
        pace: how fast.
        amp: bf16 autocast over the networks.
        cases: so many of each kind are shown for each protocol.
    """

    models: tuple[ComparedModel, ...]
    parts: tuple[SuitePart, ...]
    data_path: Path
    folder: Path
    pace: Pace
    amp: bool = False
    cases: int = 4


@dataclass(frozen=True)
class ComparedPart:
    """What the models gave on one data set.

    Attributes:
        dataset: at the first model's image size.
        data: which images and instances.
        comparisons: by protocol.
        cases: by protocol.
        masks: by protocol, then by model: the answers in these cases.
        files: by protocol, then by model: names of the files with each instance's numbers.
    """

    dataset: Sa1bDataset | CocoDataset
    data: MeasuredData
    comparisons: tuple[Comparison, ...]
    cases: tuple[tuple[Case, ...], ...]
    masks: tuple[tuple[CaseMasks, ...], ...]
    files: tuple[tuple[str, ...], ...]
