"""The masks of single instances, answered again for pictures and kept, so that a page is made anew without a model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_sam.data.run_length_encoding import decode_runs, encode_crop
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.compared_models import ComparedModel
from edge_sam.evaluation.comparison import Case
from edge_sam.evaluation.cropped_masks import CroppedMask
from edge_sam.evaluation.instances import AnnotatedImages, EvaluationDataset, EvaluationImage, RefusedImage
from edge_sam.evaluation.measurements import Measurement
from edge_sam.evaluation.miou import encode_images, evaluating
from edge_sam.evaluation.record_file import Record, RecordFile
from edge_sam.evaluation.simulated_user import first_answer


class CaseMasks:
    """What a model answered to the first prompt of some instances, in a file beside its measurement.

    Args:
        measurement: of which the instances are.

    Attributes:
        protocol: the measurement's.
    """

    def __init__(self, measurement: Measurement) -> None:
        self.protocol = measurement.protocol
        self._file = RecordFile(measurement.path.with_suffix(".masks.jsonl"), measurement.header)
        self._found: dict[tuple[str, int], Record] = {
            (record["image_id"], record["number"]): record for record in self._file.records()
        }

    def __contains__(self, case: Case) -> bool:
        """Whether the answer is known."""
        return (case.image_id, case.number) in self._found

    def add(self, case: Case, mask: CroppedMask, size: tuple[int, int]) -> None:
        """Write down an answer in a picture of ``size`` (H, W)."""
        runs = encode_crop(mask.crop(), mask.window.left, mask.window.top, size)
        record = {"image_id": case.image_id, "number": case.number, "size": list(size), "runs": runs.tolist()}
        self._file.append(record)
        self._found[case.image_id, case.number] = record

    def mask(self, case: Case) -> NDArray[np.bool_]:
        """Return an answer that is known, bool (H, W)."""
        record = self._found[case.image_id, case.number]
        height, width = record["size"]
        return decode_runs(record["runs"], (height, width))


def answer_cases(
    model: ComparedModel,
    dataset: AnnotatedImages,
    wanted: Sequence[tuple[CaseMasks, Sequence[Case]]],
    max_instances: int | None,
    amp: bool,
) -> None:
    """Ask a model for the answers that are not known yet; each image is read and encoded once.

    Args:
        model: is opened only where something is missing.
        dataset: at its image size.
        wanted: by protocol.
        max_instances: as measured.
        amp: bf16 autocast.

    Raises:
        EdgeSamError: an image cannot be read any more.
    """
    missing: dict[str, list[tuple[CaseMasks, Case]]] = {}
    for masks, cases in wanted:
        for case in cases:
            if case not in masks:
                missing.setdefault(case.image_id, []).append((masks, case))
    if not missing:
        return
    protocols = list(dict.fromkeys(masks.protocol for masks, _ in wanted))
    images = EvaluationDataset(dataset, protocols, max_instances)
    sam = model.open()
    with evaluating(sam, model.device, amp):
        for image_id, asked in missing.items():
            image = read_image(images, dataset, image_id)
            (embedding,) = encode_images(sam, [image], model.device)
            for masks, case in asked:
                if case not in masks:  # the worst may be the most different, too
                    mask = first_answer(sam, embedding, image, masks.protocol, case.number)
                    masks.add(case, mask, image.original_size)


def read_image(images: EvaluationDataset, dataset: AnnotatedImages, image_id: str) -> EvaluationImage:
    """Return an image that was measured before.

    Raises:
        EdgeSamError: it cannot be read any more.
    """
    image = images[dataset.ids.index(image_id)]
    if isinstance(image, RefusedImage):
        raise EdgeSamError(f"{image_id}: was measured before and cannot be read now: {image.refusals[0].reason}")
    return image
