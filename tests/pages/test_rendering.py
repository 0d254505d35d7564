import jinja2
import pytest

from edge_sam.pages import rendering
from edge_sam.pages.rendering import render_page


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "a.css").write_text(".own { color: red }")
    (tmp_path / "a.html.jinja").write_text("<style>{{ style }}</style>{{ text }}")
    shared = rendering.files
    monkeypatch.setattr(rendering, "files", lambda name: tmp_path if name == "mine" else shared(name))


def test_both_sheets_come_as_they_are_and_text_is_escaped(package):
    page = render_page("mine", "a", text="<b>")
    assert "prefers-color-scheme: dark" in page and page.index("--page") < page.index(".own { color: red }")
    assert page.endswith("</style>&lt;b&gt;")


def test_what_a_template_misses_is_an_error(package):
    with pytest.raises(jinja2.UndefinedError, match="text"):
        render_page("mine", "a")
