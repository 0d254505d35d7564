"""What ``edgesam web`` asks for and says, without a page being built."""

from types import SimpleNamespace

from edge_sam.cli import main
from edge_sam.commands import web


def test_the_model_is_called_as_given_and_the_next_command_can_be_pasted(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(web, "load_network", lambda chosen: SimpleNamespace(image_size=256))
    monkeypatch.setattr(web, "comparison_pictures", lambda chosen, size: ([], []))
    monkeypatch.setattr("edge_sam.web.build.build_page", lambda sam, request, *pictures: asked.append(request))
    monkeypatch.setattr("edge_sam.export.run.describe", lambda report: "report")
    (tmp_path / "7cac").touch()
    (tmp_path / "small.safetensors").symlink_to(tmp_path / "7cac")
    out = tmp_path / "my page"
    main(["web", "--checkpoint", str(tmp_path / "small.safetensors"), "--out", str(out)])
    assert asked[0].model_name == "small"
    assert f"--directory '{out}' 8000" in capsys.readouterr().out
