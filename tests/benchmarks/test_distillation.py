import pytest

from benchmarks import distillation
from edge_sam.demo.chain import Chain
from edge_sam.demo.tour import LAB_TEACHER
from edge_sam.errors import EdgeSamError


def test_the_teacher_s_file_decides_about_its_network(tmp_path, monkeypatch):
    chains: list[Chain] = []

    def embed(chain):
        chains.append(chain)
        raise EdgeSamError("enough")

    monkeypatch.setattr(Chain, "embed", embed)
    with pytest.raises(SystemExit):
        distillation.main(["--data", str(tmp_path), "--teacher", str(LAB_TEACHER), "--output", str(tmp_path)])
    assert (chains[0].image_size, chains[0].upsample_mode) == (256, "bicubic")
