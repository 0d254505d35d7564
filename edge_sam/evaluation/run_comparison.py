"""The work behind ``edgesam eval``: measure what is missing, compare, write the report."""

import copy
from collections.abc import Sequence
from pathlib import Path

from edge_sam.atomic_writing import write_atomically
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.data.sources import read_name_list
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.case_masks import CaseMasks, answer_cases
from edge_sam.evaluation.compared_models import ComparedModel
from edge_sam.evaluation.compared_parts import MEASURED_FOLDER, ComparedPart, ComparisonRequest
from edge_sam.evaluation.comparison import Comparison
from edge_sam.evaluation.comparison_json import comparison_to_json
from edge_sam.evaluation.comparison_report import render_comparison
from edge_sam.evaluation.datasets import DATASETS
from edge_sam.evaluation.measurements import MeasuredData, Measurement, measure_rest
from edge_sam.evaluation.report import write_json
from edge_sam.evaluation.suites import SuitePart
from edge_sam.exclusive_lock import exclusive_lock
from edge_sam.progress import show_progress

REPORT = "report"


def write_comparison(request: ComparisonRequest) -> list[ComparedPart]:
    """Compare and write ``report.html`` and ``report.json``.

    Raises:
        EdgeSamError: as :func:`compare_models`.
    """
    parts = compare_models(request)
    write_atomically(request.folder / f"{REPORT}.html", render_comparison(request, parts))
    write_json(comparison_to_json(request, parts), request.folder / f"{REPORT}.json")
    return parts


def compare_models(request: ComparisonRequest) -> list[ComparedPart]:
    """Measure what was not measured before, and compare.

    Raises:
        EdgeSamError: models that cannot be compared by these protocols, data that cannot be opened or that changed, a
            folder that cannot be written or that another process writes.
    """
    _check(request)
    datasets = [open_part(part, request.data_path, request.models[0].image_size) for part in request.parts]
    measured = request.folder / MEASURED_FOLDER
    try:
        measured.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeSamError(f"{measured}: cannot be made ({error.strerror}); give another --output") from error
    busy = f"{request.folder}: another evaluation writes there; wait for it, or give another --output"
    with exclusive_lock(measured / ".lock", busy):
        return [
            _compare_part(request, part, dataset, measured)
            for part, dataset in zip(request.parts, datasets, strict=True)
        ]


def _check(request: ComparisonRequest) -> None:
    sizes = {model.image_size for model in request.models}
    for part in request.parts:
        for protocol in part.protocols:
            if protocol.ground_truth == "edgesam" and len(sizes) > 1:
                raise EdgeSamError(
                    f"--ground-truth edgesam depends on the image size, and the models have {sorted(sizes)} px: "
                    "compare by exact, or models of one size"
                )
            for model in request.models:
                model.check(protocol)


def _compare_part(
    request: ComparisonRequest, part: SuitePart, dataset: Sa1bDataset | CocoDataset, folder: Path
) -> ComparedPart:
    data = MeasuredData(part.dataset, dataset.identity(), len(dataset), part.max_instances)
    by_model = [_measure(request, model, part, _at_size(dataset, model), data, folder) for model in request.models]
    by_protocol = list(zip(*by_model, strict=True))
    about = ((one.name, one.sha256, one.in_words(request.amp)) for one in request.models)
    names, hashes, networks = (tuple(column) for column in zip(*about, strict=True))
    comparisons = tuple(
        Comparison(part.dataset, part.chosen, names, hashes, networks, tuple(one.result() for one in measurements))
        for measurements in by_protocol
    )
    cases = tuple(tuple(comparison.cases(request.cases)) for comparison in comparisons)
    masks = tuple(tuple(CaseMasks(one) for one in measurements) for measurements in by_protocol)
    for number, model in enumerate(request.models):
        wanted = [(of_models[number], of_protocol) for of_models, of_protocol in zip(masks, cases, strict=True)]
        answer_cases(model, _at_size(dataset, model), wanted, part.max_instances, request.amp)
    files = tuple(tuple(one.path.name for one in measurements) for measurements in by_protocol)
    return ComparedPart(dataset, data, comparisons, cases, masks, files)


def _measure(
    request: ComparisonRequest,
    model: ComparedModel,
    part: SuitePart,
    dataset: Sa1bDataset | CocoDataset,
    data: MeasuredData,
    folder: Path,
) -> Sequence[Measurement]:
    measurements = [Measurement(folder, model, protocol, data, request.amp) for protocol in part.protocols]
    with show_progress(f"{model.name} on {part.dataset}", len(dataset)) as advance:
        measure_rest(model, dataset, measurements, part.max_instances, request.pace, request.amp, advance)
    return measurements


def open_part(part: SuitePart, data_path: Path, image_size: int) -> Sa1bDataset | CocoDataset:
    """Open the images that a part of a suite is measured on.

    Raises:
        EdgeSamError: no such data set, or it cannot be opened.
    """
    if part.dataset not in DATASETS:
        raise EdgeSamError(f"--dataset {part.dataset}: no such data set; there is {', '.join(DATASETS)}")
    number, listed = part.num_images, None
    if part.image_list is not None:
        number, listed = -1, read_name_list(part.image_list)
    if part.dataset == "sa":
        folder = data_path / "SA-1B"
        folder = folder if folder.is_dir() else data_path
        return Sa1bDataset(folder, "val", image_size, number, image_ids=listed, keep_annotations=True)
    return CocoDataset(data_path, part.dataset, image_size, number, image_ids=listed)


def _at_size(dataset: Sa1bDataset | CocoDataset, model: ComparedModel) -> Sa1bDataset | CocoDataset:
    """Return the same images at a model's size: an annotation file of gigabytes is read once."""
    resized = copy.copy(dataset)
    resized.image_size = model.image_size
    return resized
