import pytest
import torch

from edge_sam.demo.tour import run_tour
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import official_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b


@pytest.mark.slow
def test_tour_ends_in_a_table_of_teacher_and_students(tmp_path, capfd):
    data = write_sa1b(write_sa1b(tmp_path / "SA-1B", "train", 8), "val", 3, seed=1)
    torch.manual_seed(0)
    teacher = tmp_path / "teacher.pth"
    save_state(official_state(build_sam("rep_vit_m1", 256, upsample_mode="bilinear")), teacher)
    run_tour(data, teacher, tmp_path / "out", photographs=8)
    said = capfd.readouterr().out
    table = said.split("mIoU after 8 photographs")[1].splitlines()
    assert [name.strip() for name in table[2].split("┃")[1:-1]] == ["prompt", "teacher", "phase 1", "phase 2"]
    prompts = [line.split("│")[1].strip() for line in table if line.startswith("│")]
    assert prompts == [
        "box", "box +1", "box +2", "point", "mask-center", "mask-center +1", "mask-center +2",
        "mask-center, oracle of 3",
    ]  # fmt: skip
    assert said.count("$ python ") == 7
    run_tour(data, teacher, tmp_path / "out", photographs=8)
    assert "going on from" in capfd.readouterr().out


def test_missing_inputs_are_named(tmp_path):
    with pytest.raises(EdgeSamError, match=r"train: no such folder of photographs; edgesam demo --data DIR"):
        run_tour(tmp_path, tmp_path / "teacher.pth", tmp_path / "out")
    write_sa1b(tmp_path, "train", 1)
    with pytest.raises(EdgeSamError, match=r"teacher\.pth: no such teacher checkpoint"):
        run_tour(tmp_path, tmp_path / "teacher.pth", tmp_path / "out")
