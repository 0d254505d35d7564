"""From a template to a page that holds everything in itself."""

from importlib.resources import files

import jinja2
from markupsafe import Markup


def render_page(package: str, name: str, **values: object) -> str:
    """Fill a template and give it, as ``style``, the sheet that all pages share and its own.

    Args:
        package: that holds ``NAME.html.jinja`` and ``NAME.css``.
        name: of the page.
        values: for the template; what it asks for beside them is an error, and text is escaped.
    """
    folder = files(package)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(folder.joinpath(f"{name}.html.jinja").read_text())
    sheets = (files("edge_sam.pages").joinpath("style.css"), folder.joinpath(f"{name}.css"))
    return template.render(style=Markup("".join(sheet.read_text() for sheet in sheets)), **values)
