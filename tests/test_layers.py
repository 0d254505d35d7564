from pathlib import Path

from importlinter.cli import lint_imports


def test_data_flows_one_way(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    assert lint_imports() == 0, "make lint names the import that goes against the layers"
