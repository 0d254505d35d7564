import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edge_sam.web

PAGE = Path(edge_sam.web.__file__).parent / "page"


def program(name: str) -> str:
    """A program that some tests need, or a skip that names it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs the program {name}")
    return path


@pytest.fixture(scope="session")
def in_node(tmp_path_factory) -> Callable[..., Any]:
    """``in_node(script, **values)``: what a script returns that has the page's modules and some values."""
    node = program("node")
    folder = tmp_path_factory.mktemp("modules")
    for module in PAGE.glob("*.js"):
        shutil.copy(module, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(script: str, **values: Any) -> Any:
        names = ", ".join(values)
        (folder / "script.mjs").write_text(
            f"""
            import {{ readFileSync, writeFileSync }} from "node:fs";
            const {{ {names} }} = JSON.parse(readFileSync("values.json"));
            const answer = await (async () => {{ {script} }})();
            writeFileSync("answer.json", JSON.stringify(answer));
            """
        )
        (folder / "values.json").write_text(json.dumps(values))
        done = subprocess.run([node, "script.mjs"], cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads((folder / "answer.json").read_text())

    return run
