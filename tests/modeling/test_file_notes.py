import pytest
import torch

from edge_sam.modeling.checkpoints import read_state, save_state
from edge_sam.modeling.file_notes import read_notes

STATE = {"a": torch.arange(1000.0), "b": torch.ones(3)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_notes_come_back_and_leave_the_tensors_alone(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    save_state(STATE, path, {"network": "small", "by": "hand"})
    assert read_notes(path) == {"network": "small", "by": "hand"}
    read = read_state(path)
    assert list(read) == list(STATE) and all(torch.equal(read[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_other_software_finds_a_plain_dictionary(weights_only, mmap, tmp_path):
    save_state(STATE, tmp_path / "model.pth", {"network": "small"})
    read = torch.load(tmp_path / "model.pth", weights_only=weights_only, mmap=mmap)
    assert type(read) is dict and list(read) == list(STATE)
    assert all(torch.equal(read[name], STATE[name]) for name in STATE)


def test_files_without_notes_have_none(tmp_path):
    torch.save(STATE, tmp_path / "new.pth")
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_notes(tmp_path / "new.pth") == read_notes(tmp_path / "old.pth") == {}
