import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from edge_sam.arguments import config_from_arguments
from edge_sam.data.sa1b import Refusal
from edge_sam.evaluation.average_recall import AverageRecallResult, ImageRecall, RecallProtocol
from edge_sam.evaluation.run_average_recall import _default_output, _protocol, build_parser, main, render
from edge_sam.modeling.checkpoints import file_sha256, official_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.evaluation.disc_sam import watch_number_formats
from tests.synthetic import write_sa1b
from tests.synthetic_coco import write_coco

CONFIG = Path(__file__).parents[2] / "training" / "configs" / "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill.yaml"
SMALL = ["--only-cpu", "--opts", "DATA.IMG_SIZE", "128", "DATA.NUM_WORKERS", "0"]
BARS = ["--points-per-side", "2", "--pred-iou-thresh", "0", "--stability-score-thresh", "0", "--box-nms-thresh", "1"]


def test_the_command_writes_a_table_and_json(tmp_path, capsys):
    data = write_sa1b(tmp_path / "data", "val", 2, size=(48, 64))
    torch.manual_seed(0)
    checkpoint = tmp_path / "student.pth"
    save_state(official_state(build_sam("rep_vit_m1", 128)), checkpoint)
    main([str(CONFIG), "--checkpoint", str(checkpoint), "--data-path", str(data), *BARS, *SMALL])
    shown = capsys.readouterr().out
    assert "AR@1000" in shown and "one to one" in shown
    (file,) = tmp_path.glob("student.sa_*.AR.json")
    written = json.loads(file.read_text())
    assert written["checkpoint"]["sha256"] == file_sha256(checkpoint)
    assert len(written["data_sha256"]) == 64
    assert written["images"] == 2
    assert written["masks_found"] > 0
    assert "2 x 2 points" in written["protocol"]["line"]
    parts = (written["protocol"]["line"], written["checkpoint"]["sha256"][:12], written["data_sha256"][:12])
    for part in (*parts, ": sa, all images, 2 images", "(rep_vit_m1, 128 px, bicubic upsampling; float32)"):
        assert part in written["line"] and part in " ".join(shown.split())
    assert "95% interval by image (bootstrap, 1000 draws, seed 0)" in " ".join(shown.split())
    assert written["failures"] == []
    assert 0 <= written["average_recall"]["all"]["10"] <= written["average_recall"]["all"]["1000"] <= 1
    assert written["average_recall"]["large"]["10"] is None


def test_the_networks_compute_in_float32_whatever_the_configuration_says(tmp_path, capsys, monkeypatch):
    data = write_sa1b(tmp_path / "data", "val", 1, size=(48, 64))
    sam, formats = build_sam("rep_vit_m1", 128), []
    checkpoint, output = tmp_path / "student.pth", tmp_path / "result.json"
    save_state(official_state(sam), checkpoint)
    watch_number_formats(sam, formats)
    monkeypatch.setattr("edge_sam.evaluation.run_average_recall.build_sam", lambda *_, **__: sam)
    where = ["--checkpoint", str(checkpoint), "--data-path", str(data), "--output", str(output)]
    main([str(CONFIG), *where, *BARS, *SMALL, "AMP_ENABLE", "True"])
    assert formats and set(formats) == {torch.float32}
    assert "float32), data" in json.loads(output.read_text())["line"]


def test_coco_is_read_where_it_lies(tmp_path, capsys, monkeypatch):
    write_coco(tmp_path / "datasets", 3, size=(48, 64))
    (tmp_path / "datasets" / "coco" / "val2017" / "sa_0_001.jpg").write_bytes(b"")
    checkpoint = tmp_path / "student.pth"
    save_state(official_state(build_sam("rep_vit_m1", 128)), checkpoint)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([str(CONFIG), "--checkpoint", str(checkpoint), "--dataset", "coco", *BARS, *SMALL])
    captured = capsys.readouterr()
    assert "1 of 2 images are broken" in captured.err
    assert "left out: 1 images without an annotation, 2 crowds" in captured.out
    (file,) = tmp_path.glob("student.coco_*.AR.json")
    written = json.loads(file.read_text())
    assert written["data"]["path"] == "datasets" and written["images"] == 1
    assert written["data"]["left_out"] == {"images without an annotation": 1, "crowds": 2}
    assert [refusal["image_id"] for refusal in written["refusals"]] == ["sa_0_001"]


def test_every_measurement_has_a_file_of_its_own():
    def output(*options):
        given = build_parser().parse_args([str(CONFIG), "--checkpoint", "a/b.pth", *options])
        return str(_default_output(given, _protocol(given), config_from_arguments(given)))

    choices = [
        (), ("--points-per-side", "16"), ("--crop-n-layers", "1"), ("--spare-points",), ("--num-samples", "10"),
        ("--image-list", "ten.txt"), ("--num-samples", "10", "--points-per-side", "16"), ("--data-path", "a"),
        ("--data-path", "b"), ("--image-list", "other/ten.txt"),
    ]  # fmt: skip
    names = [output(*choice) for choice in choices]
    assert names[0] == output("--points-per-side", "32") == "a/b.sa.AR.json" and len(set(names)) == len(choices)
    assert all(re.fullmatch(r"a/b\.sa_[0-9a-f]{8}\.AR\.json", name) for name in names[1:])
    assert output("--opts", "AMP_ENABLE", "True") == names[0], "recall is of float32 in any case"


def test_names_with_brackets_are_printed_as_they_are(capsys):
    ranks = dict.fromkeys(("all", "small", "medium", "large"), np.zeros((10, 1), np.int32))
    images = (ImageRecall(0, "a", "d" * 64, 1, ranks),)
    result = AverageRecallResult(RecallProtocol(), images, ("b[/c]",), (Refusal("d[red]", "polygon [none]"),))
    Console(width=300).print(render(result, "images of list[1][bold].txt"))
    said = capsys.readouterr().out
    assert all(name in said for name in ("b[/c]", "d[red] (polygon [none])", "images of list[1][bold].txt"))


def test_mistakes_are_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(CONFIG), "--checkpoint", str(tmp_path / "none.pth"), "--data-path", str(tmp_path), *SMALL])
    assert capsys.readouterr().err.startswith("error: ")
