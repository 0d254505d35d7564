"""A headless Chromium, moved by the DevTools protocol over a pipe: mouse, fingers and keys as a person's."""

import base64
import contextlib
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PATIENCE = 240.0
_KEYS = {"Enter": 13, "Backspace": 8, "Escape": 27, "Delete": 46}
_KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Page:
    """One tab."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self.browser, self.session = browser, session
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def wait_for(self, expression: str) -> Any:
        """Wait until an expression is true, and return it."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):  # elements may not be there yet
                if value := self.evaluate(expression):
                    return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}; the page says: {self.evaluate('document.body.innerText')}")

    def resize(self, width: int, height: int, density: float = 1, phone: bool = False, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=density, mobile=phone
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def choose_file(self, selector: str, path: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def centre(self, selector: str) -> tuple[float, float]:
        self.evaluate(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        x, y, width, height = self.frame(selector)
        return x + width / 2, y + height / 2

    def frame(self, selector: str) -> tuple[float, float, float, float]:
        """Return left, top, width, height of an element in the window."""
        found = self.evaluate(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        return tuple(found)

    def _mouse(self, kind: str, x: float, y: float, button: str = "none", held: int = 0, keys: int = 0) -> None:
        self.call(
            "Input.dispatchMouseEvent",
            type=kind, x=x, y=y, button=button, buttons=held, modifiers=keys, clickCount=int(kind != "mouseMoved"),
        )  # fmt: skip

    def move(self, x: float, y: float) -> None:
        self._mouse("mouseMoved", x, y)

    def click(self, x: float, y: float, button: str = "left", shift: bool = False) -> None:
        keys = 8 if shift else 0
        self._mouse("mousePressed", x, y, button, {"left": 1, "right": 2}[button], keys)
        self._mouse("mouseReleased", x, y, button, 0, keys)

    def click_on(self, selector: str) -> None:
        self.click(*self.centre(selector))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self._mouse("mousePressed", *start, "left", 1)
        for share in (0.3, 0.7, 1.0):
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self._mouse("mouseMoved", x, y, "left", 1)
        self._mouse("mouseReleased", *end, "left", 0)

    def tap(self, x: float, y: float) -> None:
        self._touch("touchStart", (x, y))
        self._touch("touchEnd")

    def swipe(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self._touch("touchStart", start)
        for share in (0.3, 0.7, 1.0):
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self._touch("touchMove", (x, y))
        self._touch("touchEnd")

    def _touch(self, kind: str, *places: tuple[float, float]) -> None:
        self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in places])

    def press(self, key: str, control: bool = False, shift: bool = False) -> None:
        parameters: dict[str, Any] = {"key": key, "modifiers": 2 * control + 8 * shift}
        if key in _KEYS:
            parameters["windowsVirtualKeyCode"] = _KEYS[key]
        elif not control:
            parameters["text"] = key
        self.call("Input.dispatchKeyEvent", type="keyDown", **parameters)
        self.call("Input.dispatchKeyEvent", type="keyUp", **{**parameters, "text": ""})


class Browser:
    """Chromium, spoken to over its third and fourth file descriptor: messages of JSON with a zero byte between."""

    def __init__(self, program: str, profile: Path, options: tuple[str, ...] = ()) -> None:
        their_input, self._output = os.pipe()
        self._input, their_output = os.pipe()
        command = [
            program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
            "--disable-extensions", "--disable-sync", "--disable-breakpad", "--hide-scrollbars", "--mute-audio",
            f"--user-data-dir={profile}", *options, "about:blank",
        ]  # fmt: skip
        # The shell puts the pipe's ends where Chromium looks for them.
        plumbing = f'exec 3<&{their_input} 4>&{their_output}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", plumbing, "chromium", *command],
            pass_fds=(their_input, their_output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(their_input)
        os.close(their_output)
        self._buffer = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def new_page(self) -> Page:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def download_to(self, folder: Path) -> None:
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._output, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def complaints(self) -> list[str]:
        """Return what pages logged as errors, and exceptions that nobody caught."""
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters["exceptionDetails"])[:500])
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] == "error":
                found.append(json.dumps(parameters["args"])[:500])
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(f"{parameters['entry']['text']} {parameters['entry'].get('url')}")
        return found

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._input], [], [], _PATIENCE)
            assert readable, "Chromium is silent"
            read = os.read(self._input, 2**20)
            assert read, "Chromium ended"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        self._process.wait(30)
        os.close(self._input)
        os.close(self._output)


@contextlib.contextmanager
def running(program: str, profile: Path, *options: str) -> Iterator[Browser]:
    browser = Browser(program, profile, options)
    try:
        yield browser
    finally:
        browser.close()
