"""A page of Gradio's: clicks in the browser, masks from this machine. What a click does is in ``click_session.py``.

Gradio is an extra package: only ``web_demo/gradio_app.py`` imports this module.
"""

import functools
import os
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

# Before Gradio is imported: uploads lie in a folder of this process alone, which goes with it.
_UPLOADS = tempfile.TemporaryDirectory(prefix="edgesam_uploads")
os.environ["GRADIO_TEMP_DIR"] = _UPLOADS.name

import gradio as gr  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from edge_sam.errors import EdgeSamError  # noqa: E402
from edge_sam.web.click_session import Clicks, EmbeddedPicture, Mode, SharedPredictor, draw_answer  # noqa: E402

LARGEST_UPLOAD = 20 * 2**20  # bytes
LARGEST_REQUEST = LARGEST_UPLOAD + 2**19
"""In bytes, of any kind: an upload and what a form writes around it."""
MOST_VISITORS = 20
"""Whose pictures are kept at the same time, 150 MB each at most; the one who was idle longest is forgotten."""
_SECONDS_KEPT = 3600
_MODES: list[tuple[str, Mode]] = [("+ of the object", "add"), ("- beside it", "remove"), ("corner of a box", "box")]

Shown = tuple[Any, str]  # the picture with what is drawn over it, and a line about it
Receive = Callable[[], Awaitable[dict[str, Any]]]  # of ASGI: gives the next part of a request


def launch(page: gr.Blocks, server_name: str, port: int, wait: bool = True) -> str:
    """Serve a page: no files but Gradio's own and uploads.

    Uploads are at most :data:`LARGEST_UPLOAD`, requests :data:`LARGEST_REQUEST`, and the pictures of
    :data:`MOST_VISITORS` are kept.

    Args:
        page: to serve.
        server_name: address to listen at.
        port: to listen at.
        wait: until it is stopped.

    Returns:
        Its address.

    Raises:
        EdgeSamError: the port is taken.
    """
    try:
        _, address, _ = page.launch(
            server_name=server_name, server_port=port, share=False, max_file_size=LARGEST_UPLOAD, allowed_paths=[],
            state_session_capacity=MOST_VISITORS, ssr_mode=False, prevent_thread_lock=not wait,
            app_kwargs={"middleware": [Middleware(LimitedRequests, most=LARGEST_REQUEST)]},
        )  # fmt: skip
    except OSError as error:
        raise EdgeSamError(f"{server_name}:{port} cannot be listened at: {error}; choose another --port") from error
    return str(address)


class LimitedRequests:
    """Refuses requests whose body is too long, on every path: a picture may also come inside of an event.

    Args:
        app: what answers the others (ASGI).
        most: bytes of a body.
    """

    def __init__(self, app: Any, most: int) -> None:  # noqa: ANN401 - of ASGI
        self._app, self._most = app, most

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Any) -> None:  # noqa: ANN401 - of ASGI
        """Answer one request; status 413 as soon as it has sent too much."""
        taken = 0

        async def counted() -> dict[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, f"a request has at most {self._most} bytes")
            return message

        await self._app(scope, counted, send)


def take_uploads_alone(image: gr.Image) -> None:
    """Have an image take what was uploaded: Gradio's also fetches addresses, and decodes pictures inside of events.

    Its methods are replaced, as a subclass would have Gradio write a file beside this one.
    """
    path_of, move = image.preprocess, image.async_move_resource_to_block_cache

    def path_of_upload(picture: Any) -> Any:  # noqa: ANN401 - Gradio's
        if picture is not None and str(picture.url).startswith("data:"):
            raise gr.Error("upload the picture: none is taken out of an event", print_exception=False)
        return path_of(picture)

    async def move_upload(path: Any) -> Any:  # noqa: ANN401 - Gradio's
        if "://" in str(path):
            raise gr.Error("upload the picture: none is fetched from elsewhere", print_exception=False)
        return await move(path)

    image.preprocess, image.async_move_resource_to_block_cache = path_of_upload, move_upload


def make_page(predictor: SharedPredictor) -> gr.Blocks:
    """Return the page."""
    with gr.Blocks(title="EdgeSAM", analytics_enabled=False, delete_cache=(_SECONDS_KEPT, _SECONDS_KEPT)) as page:
        gr.Markdown("# EdgeSAM\nChoose a photograph, then click on a thing in it.")
        picture = gr.State(None, time_to_live=_SECONDS_KEPT)
        clicks = gr.State(Clicks())
        with gr.Row():
            mode = gr.Radio(_MODES, value="add", label="A click is a point")
            count = gr.Radio([1, 3, 4], value=1, label="Candidates (the best is shown)")
        image = gr.Image(label="Photograph", type="filepath", image_mode=None, sources=["upload", "clipboard"])
        take_uploads_alone(image)
        line = gr.Markdown()
        with gr.Row():
            undo, clear = gr.Button("Undo"), gr.Button("Clear")

        @_with_errors
        def answer(picture: EmbeddedPicture | None, clicks: Clicks, count: int) -> Shown:
            return show(predictor, picture, clicks, count)

        shown = [image, line]
        image.upload(_with_errors(predictor.embed), image, picture).success(
            lambda: Clicks(), None, clicks
        ).success(answer, [picture, clicks, count], shown)  # fmt: skip
        image.clear(lambda: (None, Clicks(), ""), None, [picture, clicks, line])
        image.select(_with_errors(add_click), [picture, clicks, mode], clicks).success(
            answer, [picture, clicks, count], shown
        )
        undo.click(Clicks.without_last, clicks, clicks).success(answer, [picture, clicks, count], shown)
        clear.click(lambda: Clicks(), None, clicks).success(answer, [picture, clicks, count], shown)
        count.change(answer, [picture, clicks, count], shown)
    return page


def add_click(picture: EmbeddedPicture | None, clicks: Clicks, mode: Mode, event: gr.SelectData) -> Clicks:
    """Return the clicks with that of an event.

    Raises:
        EdgeSamError: no picture, or a box without area.
    """
    if picture is None:
        raise EdgeSamError("choose a photograph first")
    x, y = event.index
    return clicks.with_click(x + 0.5, y + 0.5, mode)  # an event names a pixel; its centre is meant


def show(predictor: SharedPredictor, picture: EmbeddedPicture | None, clicks: Clicks, count: int) -> Shown:
    """Return the picture with the best mask over it, and a line about it; nothing new where there is no picture."""
    if picture is None:
        return gr.skip(), ""
    masks, scores = predictor.masks(picture, clicks, count)
    drawn = draw_answer(picture, clicks, masks[0] if len(masks) else None)
    told = f"score {scores[0]:.2f}, {int(masks[0].sum())} pixels" if len(masks) else ""
    return drawn, told


def _with_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a page show what its user can mend."""

    @functools.wraps(function)
    def shown(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function takes and gives
        try:
            return function(*args, **kwargs)
        except EdgeSamError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return shown
