import html
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from rich.console import Console

import edge_sam
from edge_sam.data.coco_dataset import CocoDataset
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.compared_parts import ComparisonRequest
from edge_sam.evaluation.comparison_table import render_part
from edge_sam.evaluation.measurements import Pace
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.run_comparison import compare_models, open_part, write_comparison
from edge_sam.evaluation.suites import SuitePart, find_suite
from tests.evaluation.compared_discs import Disc
from tests.synthetic import write_sa1b
from tests.synthetic_coco import write_coco

PART = SuitePart(
    "sa", (EvaluationProtocol("box", refine_iters=2), EvaluationProtocol("point", "mask-center", 0, 3, "oracle"))
)


def request(discs, data, folder, part=PART, **changes):
    models = tuple(disc.model() for disc in discs)
    given = {"pace": Pace(image_batch=4, num_workers=0), "cases": 2, **changes}
    return ComparisonRequest(models, (part,), data, folder, **given)


@pytest.fixture
def pair():
    return Disc("small"), Disc("large<r>", bias=15)


class Page(HTMLParser):
    """What a page asks for, and the tags that are left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset")]
        self.pictures += [value for name, value in attrs if tag == "img" and name == "alt"]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)))


def shown(part) -> str:
    """Return what a terminal shows of a part, its lines joined."""
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(render_part(part))
    return re.sub(r"\s+", " ", console.export_text())


def test_page_and_json_say_the_same_and_the_second_call_needs_no_model(photographs, tmp_path, pair):
    (part,) = write_comparison(request(pair, photographs, tmp_path))
    page = (tmp_path / "report.html").read_text()
    content = json.loads((tmp_path / "report.json").read_text())
    opened = [disc.opened for disc in pair]
    write_comparison(request(pair, photographs, tmp_path))
    assert [disc.opened for disc in pair] == opened
    assert (tmp_path / "report.html").read_text() == page

    parsed, said = Page(page), text_of(page)
    assert parsed.open == [] and parsed.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in parsed.sources)
    assert "http" not in page and "script" not in page and "large<r>" not in page
    assert [model["name"] for model in content["models"]] == ["small", "large<r>"]
    box, center = content["comparisons"]
    for comparison, found in zip(part.comparisons, (box, center), strict=True):
        first = comparison.results[0]
        about = f"sa, data {first.data_sha256[:12]}: all images, 7 images, {first.instances} instances"
        kind = "a disc, 256 px; float32"
        checkpoints = ", ".join(f"{model['name']} {model['sha256'][:12]} ({kind})" for model in content["models"])
        about = f"checkpoints {checkpoints}; {about}"
        assert found["line"] == f"{first.protocol.describe()}; {about}; edge_sam {edge_sam.__version__}"
        assert said.count(found["line"]) >= 3, "beside table, charts and pictures"
        for place, model in enumerate(found["models"]):
            result = comparison.results[place]
            assert [one["value"] for one in model["miou"]] == result.miou
            assert [sum(counts) for counts in model["histogram"]] == [result.instances] * len(result.miou)
            assert (tmp_path / model["file"]).is_file()
            for one in model["miou"]:
                assert f"{one['value']:.3f}" in said
    difference = box["models"][1]["difference_to_first"][0]
    assert difference["value"] == pytest.approx(
        box["models"][1]["miou"][0]["value"] - box["models"][0]["miou"][0]["value"]
    )
    assert f"{difference['value']:+.3f}".replace("-", "\N{MINUS SIGN}") in said
    shown = len(box["cases"]) + len(center["cases"])
    assert shown == 8 and len(parsed.pictures) == shown * (3 + 2)
    assert all("IoU" in alt for alt in parsed.pictures if alt.startswith(("small", "large")))


def test_pictures_show_the_masks_that_were_measured(photographs, tmp_path, pair):
    (part,) = compare_models(request(pair, photographs, tmp_path, cases=3))
    for comparison, cases, masks in zip(part.comparisons, part.cases, part.masks, strict=True):
        assert cases
        for case in cases:
            annotations = part.dataset[part.dataset.ids.index(case.image_id)].annotations
            truth = annotations[case.number].decode() > 0
            for iou, of_model in zip(case.iou, masks, strict=True):
                found = of_model.mask(case)
                shared = np.count_nonzero(found & truth) / np.count_nonzero(found | truth)
                assert shared == pytest.approx(iou, abs=1e-6), comparison.results[0].protocol.name


@pytest.mark.parametrize(("amp", "number_format"), [(False, torch.float32), (True, torch.bfloat16)])
def test_pictures_are_answered_in_the_number_format_of_the_numbers(photographs, tmp_path, amp, number_format):
    disc = Disc("a")
    for cases in (0, 1):
        disc.formats.clear()
        (part,) = compare_models(request([disc], photographs, tmp_path, cases=cases, amp=amp))
        assert set(disc.formats) == {number_format}, "measured first, then asked for pictures alone"
        precision = "bf16" if amp else "float32"
        assert part.comparisons[0].networks == (f"a disc, 256 px; {precision}",)
    assert disc.opened == 2


def test_adding_a_model_runs_that_one_alone(photographs, tmp_path, pair):
    compare_models(request(pair[:1], photographs, tmp_path, cases=0))
    compare_models(request(pair, photographs, tmp_path, cases=0))
    assert [disc.opened for disc in pair] == [1, 1]


def test_a_data_set_of_the_same_name_is_another(photographs, tmp_path, pair):
    first = shutil.copytree(photographs, tmp_path / "a" / "SA-1B")
    second = write_sa1b(tmp_path / "b" / "SA-1B", "val", 7, seed=3, size=(150, 200))
    found = [
        compare_models(request(pair[:1], root.parent, tmp_path / "out", cases=0))[0].comparisons[0].results[0]
        for root in (first, second, first)
    ]
    assert pair[0].opened == 2
    assert found[0].data_sha256 == found[2].data_sha256 != found[1].data_sha256
    assert found[0].miou == found[2].miou != found[1].miou


def test_answers_that_are_no_numbers_are_counted_and_named(photographs, tmp_path, pair):
    pair[1].bias = float("nan")
    (part,) = write_comparison(request(pair, photographs, tmp_path, cases=1))
    said = text_of((tmp_path / "report.html").read_text())
    assert re.search(
        r"sa, box: \d+ answers of large<r> are NaN or infinity, IoU 0: sa_0_000 annotation 0 \(box\)", said
    )
    failures = json.loads((tmp_path / "report.json").read_text())["comparisons"][0]["models"][1]["failures"]
    assert failures[0] == {"image_id": "sa_0_000", "annotation": 0, "round": "box"}
    assert re.search(
        r"sa, box: \d+ answers of large<r> are NaN or infinity, IoU 0: sa_0_000 annotation 0 \(box\)", shown(part)
    )


def test_what_is_no_single_object_is_counted(tmp_path, pair):
    write_coco(tmp_path / "data", 3)
    part = SuitePart("coco", (EvaluationProtocol("box"),))
    (tmp_path / "data" / "coco" / "val2017" / "sa_0_001.jpg").write_bytes(b"")
    (found,) = write_comparison(request(pair, tmp_path / "data", tmp_path / "out", part, cases=1))
    below = shown(found)
    said = text_of((tmp_path / "out" / "report.html").read_text())
    for line in ("coco: 2 crowds are left out", "coco: 1 of the chosen images are left out"):
        assert line in said and line in below
    assert "coco, box: 1 images or annotations could not be read: sa_0_001 (image cannot be decoded" in below
    (found,) = json.loads((tmp_path / "out" / "report.json").read_text())["comparisons"]
    assert (found["images"], found["crowds"], found["unannotated_images"]) == (1, 2, 1)


def test_what_cannot_be_compared_is_told_before_the_work(photographs, tmp_path, pair):
    small, large = (disc.model() for disc in pair)
    object.__setattr__(large, "image_size", 128)
    edgesam = find_suite("quick", ground_truth="edgesam")
    both = ComparisonRequest((small, large), edgesam, photographs, tmp_path / "out", Pace())
    with pytest.raises(EdgeSamError, match=r"depends on the image size, and the models have \[128, 256\] px"):
        compare_models(both)
    with pytest.raises(EdgeSamError, match="--dataset nothing: no such data set; there is sa, coco"):
        compare_models(request(pair, photographs, tmp_path / "out", SuitePart("nothing", PART.protocols)))
    assert [disc.opened for disc in pair] == [0, 0]


def test_a_folder_that_cannot_be_written_is_one_line(photographs, tmp_path, pair):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeSamError, match="cannot be made"):
        compare_models(request(pair, photographs, tmp_path / "file"))


def test_the_place_of_a_data_set(photographs, tmp_path):
    inside = shutil.copytree(photographs, tmp_path / "SA-1B").parent
    write_coco(tmp_path, 3)
    for path in (inside, inside / "SA-1B"):
        assert len(open_part(SuitePart("sa", (), num_images=2), path, 64)) == 2
    (tmp_path / "names.txt").write_text("sa_0_004\nsa_0_002\n")
    listed = open_part(SuitePart("sa", (), num_images=1, image_list=tmp_path / "names.txt"), inside, 64)
    assert listed.ids == ("sa_0_002", "sa_0_004")
    found = open_part(SuitePart("coco", ()), tmp_path, 64)
    assert isinstance(found, CocoDataset) and found.image_size == 64


def test_the_table_has_values_intervals_and_differences(photographs, tmp_path, pair):
    (part,) = compare_models(request(pair, photographs, tmp_path, cases=0))
    comparison = part.comparisons[0]
    said = shown(part)
    assert f"{comparison.estimates[0][2].value:.4f} (" in said
    assert f"{comparison.differences[1][2].value:+.4f} (" in said
    assert "single-mask token" in said
