import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import edge_sam
from edge_sam.data.sa1b import Refusal
from edge_sam.evaluation.bootstrap import interval_by_image
from edge_sam.evaluation.miou import MiouResult
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.report import model_in_words, render_results, result_line, results_to_json, write_json
from edge_sam.modeling.network_recognition import Network

CHOSEN = "sa, first 9 images by name"
MODEL = model_in_words("c" * 64, Network("rep_vit_m1", 512), "bf16")


@pytest.fixture
def results():
    iou = np.array([[0.2, 0.4, 0.6], [0.5, 0.8, 1.0], [0.5, 0.9, 0.95]])
    refusals = tuple(Refusal(f"sa_{number}", "image cannot be decoded") for number in range(7))
    common = {
        "image_ids": ("sa_8", "sa_8", "sa_9"), "numbers": np.array([0, 1, 0]), "names": (5, 6, 7),
        "areas": np.array([100, 10**5, 900]), "refusals": refusals, "data_sha256": "d" * 64,
    }  # fmt: skip
    return [
        MiouResult(
            EvaluationProtocol("box", refine_iters=2),
            iou=iou,
            boundary_iou=None,
            failures=(("sa_8", 1, "+2"),),
            empty=(("sa_9", 1),),
            **common,
        ),
        MiouResult(
            EvaluationProtocol("point", ground_truth="edgesam", boundary=True),
            iou=iou[:, :1],
            boundary_iou=iou[:, :1] / 4,
            failures=(),
            empty=(),
            **common,
        ),
    ]


def printed(results, width=120):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render_results(results, MODEL, CHOSEN))
    return console.export_text()


def test_table_has_a_line_for_each_protocol_and_names_the_ground_truth(results):
    lines = printed(results).splitlines()
    box = next(line for line in lines if "│ box" in line)
    point = next(line for line in lines if "│ point" in line)
    assert [cell.strip() for cell in box.strip("│").split("│")] == [
        "box", "single token", "exact", "0.4000", "0.7000", "0.8500", "3", "2",
    ]  # fmt: skip
    assert [cell.strip() for cell in point.strip("│").split("│")] == [
        "point", "single token", "edgesam", "0.4000", "", "", "3", "2",
    ]  # fmt: skip


def test_numbers_stay_whole_in_a_narrow_terminal(results):
    text = printed(results, width=60)
    assert all(number in text for number in ("0.4000", "0.7000", "0.8500"))


def test_each_line_says_how_by_which_model_and_on_what(results):
    text = " ".join(printed(results).split())
    for result in results:
        assert result.protocol.describe() in text and result_line(result, MODEL, CHOSEN) in text
    said = f"checkpoint {'c' * 12} (rep_vit_m1, 512 px, bicubic upsampling; bf16), "
    said += f"data {'d' * 12}: {CHOSEN}, 2 images, 3 instances, edge_sam {edge_sam.__version__}"
    assert text.count(said) == 2
    low, high = interval_by_image(results[1].iou[:, 0], results[1].image_ids)
    drawn = "(bootstrap, 1000 draws, seed 0)"
    assert f"95% interval by image {drawn}: {low:.4f} to {high:.4f}" in text
    low, high = interval_by_image(results[1].boundary_iou[:, 0], results[1].image_ids)
    assert f"mean boundary IoU: {results[1].boundary_miou[0]:.4f} ({low:.4f} to {high:.4f})" in text
    assert "by size (instances): small 0.3500 (2), medium - (0), large 0.5000 (1)" in text


def test_what_was_left_out_is_told(results):
    text = " ".join(printed(results).split())
    assert "box: 1 masks without a pixel left out: sa_9 annotation 1" in text
    assert "box: 1 answers of NaN or infinity count as IoU 0: sa_8 annotation 1 (+2)" in text
    assert "7 of kind image" in text and "sa_0 (image cannot be decoded)" in text and "and 2 more" in text


def test_names_with_brackets_are_printed_as_they_are(results):
    """They are no markup, which would drop them or fail after all the work."""
    refusals = (Refusal("a[/b]", "polygon [none] of [red]"),)
    results = [replace(results[0], empty=(("shelf[bold]", 1),), refusals=refusals)]
    text = " ".join(printed(results).split())
    assert "a[/b] (polygon [none] of [red])" in text and "shelf[bold] annotation 1" in text


def test_json_has_everything_and_survives_a_round_trip(results):
    content = json.loads(json.dumps(results_to_json(results, MODEL, {"checkpoint": {"path": "a.pth"}}, CHOSEN)))
    assert content["checkpoint"] == {"path": "a.pth"} and content["torch"] and content["edge_sam"]
    box, point = content["results"]
    assert box["miou"] == pytest.approx([0.4, 0.7, 0.85]) and point["miou"] == pytest.approx([0.4])
    assert box["rounds"] == ["box", "+1", "+2"]
    assert box["instances"] == 3 and box["images"] == 2
    assert box["line"] == result_line(results[0], MODEL, CHOSEN) and box["data_sha256"] == "d" * 64
    assert (box["interval"]["share"], box["interval"]["draws"], box["interval"]["seed"]) == (0.95, 1000, 0)
    assert box["interval"]["boundary_by_round"] is None and len(point["interval"]["boundary_by_round"]) == 1
    assert box["interval"]["by_round"] == [
        list(interval_by_image(column, results[0].image_ids)) for column in results[0].iou.T
    ]
    assert box["by_size"]["small"] == {"instances": 2, "miou": pytest.approx([0.35, 0.65, 0.775])}
    assert box["failures"] == [{"image_id": "sa_8", "annotation": 1, "round": "+2"}]
    assert list(box["share_with_iou_at_least"]) == [
        "0.5",
        "0.55",
        "0.6",
        "0.65",
        "0.7",
        "0.75",
        "0.8",
        "0.85",
        "0.9",
        "0.95",
    ]
    assert box["share_with_iou_at_least"]["0.5"] == pytest.approx([2 / 3, 2 / 3, 1])
    assert box["empty"] == [{"image_id": "sa_9", "annotation": 1}]
    assert point["protocol"]["ground_truth"] == "edgesam"
    assert len(content["refusals"]) == 7 and content["refusals"][0]["image_id"] == "sa_0"


def test_file_is_replaced_whole(tmp_path):
    path = tmp_path / "new" / "result.json"
    write_json({"a": 1}, path)
    write_json({"a": 2}, path)
    assert json.loads(path.read_text()) == {"a": 2}
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]
    with pytest.raises(TypeError):
        write_json({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 2}


def test_boundary_iou_is_told_where_it_was_measured(results):
    text = printed(results)
    assert text.count("mean boundary IoU: 0.1000") == 1 and text.count("boundary IoU within 2% of the diagonal") == 1
    box, point = results_to_json(results, MODEL, {}, CHOSEN)["results"]
    assert box["boundary_miou"] is None and point["boundary_miou"] == pytest.approx([0.1])
