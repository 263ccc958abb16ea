"""The house's directions: who may import whom, read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("agent", "compiler", "contracts", "fleet")

# Left may never import right.
FORBIDDEN = [
    ("contracts", "agent"),
    ("contracts", "compiler"),
    ("contracts", "fleet"),
    ("agent", "compiler"),
    ("agent", "fleet"),
    ("compiler", "agent"),
    ("compiler", "fleet"),
    ("fleet", "agent"),
    ("fleet", "compiler"),
    # Inside a package: core knows nobody, only wiring knows everybody.
    *((f"{package}.core", f"{package}.{room}") for package, room in [
        ("agent", "control"), ("agent", "adapters"), ("agent", "worker"), ("agent", "runtimes"), ("agent", "wiring"),
        ("fleet", "store"), ("fleet", "north"), ("fleet", "south"), ("fleet", "dashboard"), ("fleet", "release"), ("fleet", "wiring"),
    ]),
    ("agent.control", "agent.adapters"),
    ("agent.control", "agent.worker"),
    ("agent.control", "agent.runtimes"),
    ("agent.adapters", "agent.control"),
    ("agent.worker", "agent.control"),
    ("agent.worker", "agent.adapters"),
    ("fleet.store", "fleet.north"),
    ("fleet.store", "fleet.south"),
    ("fleet.north", "fleet.south"),
    ("fleet.south", "fleet.north"),
    ("fleet.dashboard", "fleet.store"),
    ("fleet.dashboard", "fleet.south"),
    # The stages of a compilation do not know that they are remembered.
    *((f"compiler.{stage}", "compiler.cache") for stage in ("evaluate", "graph", "importers", "lower", "package", "quantize")),
]  # fmt: skip

# Nothing that touches the world may be imported where decisions are made.
IMPURE = {"asyncio", "anyio", "logging", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}
PURE = ("contracts", "agent.core", "fleet.core")

# A foreign library lives in one file, its adapter; these are the ones whose surface must not spread.
ONE_HOME = {
    "paho": ("agent.adapters.mqtt", "fleet.south.mqtt", "fleet.cli.listener"),
    "onnxruntime": ("agent.runtimes.onnx", "compiler"),
    "cv2": ("compiler.evaluate.folder", "agent.worker.sources.opencv"),
    "sqlalchemy": ("fleet.store",),
    "alembic": ("fleet.store",),
    "psycopg": ("fleet.store",),
    "nicegui": ("fleet.dashboard",),
    "fsspec": ("fleet.store",),
    "backports": ("contracts.delta.codec",),
    "tuf": ("agent.verifier", "fleet.release"),
    # A library that is too large to stay in the control process, which reads /proc by itself.
    "psutil": ("agent.adapters.inventory",),
    "joserfc": ("fleet.openid.id_token",),
    "scipy": ("fleet.core.gates.sequential",),
    "cryptography": ("agent.credential", "fleet.authority", "fleet.certificates", "fleet.release", "fleet.sealing"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield module_name(path), ast.parse(path.read_text())


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield what runs as an import; names only wanted by type checkers do not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body.clear()
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def lies_in(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def test_no_import_goes_against_the_directions() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in sources()
        for name in imports(tree)
        for source, target in FORBIDDEN
        if lies_in(module, source) and lies_in(name, target)
    ]
    assert wrong == []


def test_decisions_touch_neither_clock_nor_disk_nor_network() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in sources()
        if any(lies_in(module, room) for room in PURE)
        for name in imports(tree)
        if name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_each_foreign_library_has_one_home() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, tree in sources()
        for name in imports(tree)
        for library, homes in ONE_HOME.items()
        if lies_in(name, library) and not any(lies_in(module, home) for home in homes)
    ]
    assert wrong == []


def test_every_file_opens_with_a_sentence_that_says_what_it_decides_or_touches() -> None:
    silent = [module for module, tree in sources() if not (ast.get_docstring(tree) or "").strip()]
    assert silent == []


@pytest.mark.parametrize("module", ["agent.control.main", "agent.cli", "agent.service", "agent.wiring"])
def test_the_control_process_loads_neither_numpy_nor_a_runtime(module: str) -> None:
    heavy = {"numpy", "onnxruntime", "cv2", "tuf", "cryptography", "ai_edge_litert"}
    program = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=180)
    assert found.stdout.split() == []


def test_a_server_starts_without_what_only_some_ask_for() -> None:
    # Pages, evidence, steps from an older database, another's word for who somebody is
    late = {"nicegui", "numpy", "scipy", "alembic", "joserfc", "httpx"}
    program = f"import sys, fleet.wiring.server; print(*sorted({late} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=180)
    assert found.stdout.split() == []


@pytest.mark.parametrize("module", ["device_list", "devices", "groups", "releases", "rollouts", "tokens"])
def test_a_command_asks_its_server_without_what_others_ask_or_what_draws_the_answer(module: str) -> None:
    late = {"httpx", "rich.console", "rich.table", "rich.text", "sqlalchemy", "fastapi", "tuf", "cryptography", "numpy", "paho"}
    late |= {"contracts.agent_config", "contracts.downlinks", "fleet.core.rollout.model"}
    program = f"import sys, cli, fleet.cli.{module}; print(*sorted({late} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.split() == []


def test_help_imports_no_part() -> None:
    program = "import sys, cli; cli.build_app(None); print(*sorted({'agent', 'compiler', 'fleet'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=180)
    assert found.stdout.split() == []
