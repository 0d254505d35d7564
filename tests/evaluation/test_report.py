import json

import numpy as np
import pytest
from rich.console import Console

from edge_sam.data.sa1b import Refusal
from edge_sam.evaluation.miou import MiouResult
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.evaluation.report import render_results, results_to_json, write_json


@pytest.fixture
def results():
    iou = np.array([[0.2, 0.4, 0.6], [0.5, 0.8, 1.0], [0.5, 0.9, 0.95]])
    refusals = tuple(Refusal(f"sa_{number}", "image cannot be decoded") for number in range(7))
    common = {"image_ids": ("sa_8", "sa_8", "sa_9"), "numbers": np.array([0, 1, 0]), "refusals": refusals}
    return [
        MiouResult(EvaluationProtocol("box", refine_iters=2), iou=iou, empty=(("sa_9", 1),), **common),
        MiouResult(EvaluationProtocol("point", ground_truth="edgesam"), iou=iou[:, :1], empty=(), **common),
    ]


def printed(results, width=120):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render_results(results))
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


def test_what_was_left_out_is_told(results):
    text = " ".join(printed(results).split())
    assert "box: 1 masks without a pixel left out: sa_9 #1" in text
    assert "7 of kind image" in text and "sa_0 (image cannot be decoded)" in text and "and 2 more" in text


def test_json_has_everything_and_survives_a_round_trip(results):
    content = json.loads(json.dumps(results_to_json(results, {"checkpoint": {"path": "a.pth"}})))
    assert content["checkpoint"] == {"path": "a.pth"} and content["torch"] and content["edge_sam"]
    box, point = content["results"]
    assert box["miou"] == pytest.approx([0.4, 0.7, 0.85]) and point["miou"] == pytest.approx([0.4])
    assert box["rounds"] == ["box", "+1", "+2"]
    assert box["instances"] == 3 and box["images"] == 2
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
