"""A Flink cluster on this machine: a job manager, two task managers, and a pool of Beam's Python workers."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.free_port import free_port

FLINK = Path(__file__).parents[1] / "build" / "flink"
TASK_MANAGERS = 2

# What Flink's start scripts, which its package does not bring, would work out.
_SETTINGS = {
    "jobmanager.rpc.address": "127.0.0.1",
    "jobmanager.bind-host": "127.0.0.1",
    "rest.address": "127.0.0.1",
    "rest.bind-address": "127.0.0.1",
    "taskmanager.host": "127.0.0.1",
    "taskmanager.bind-host": "127.0.0.1",
    # The cluster has Beam's classes on its own path: with the job's copies of them beside, the two do not mix.
    "classloader.resolve-order": "parent-first",
    # Without one a job fails with the first call that is lost.
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 3,
    "restart-strategy.fixed-delay.delay": "1 s",
    "pekko.startup-timeout": "120 s",  # ten seconds are too few on a busy machine
    "taskmanager.numberOfTaskSlots": 1,
    "taskmanager.cpu.cores": 1.0,
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.network.min": "128m",
    "taskmanager.memory.network.max": "128m",
    "taskmanager.network.sort-shuffle.min-buffers": 64,  # of 512, a graph of this size wants more than is given
}

# What of Java's own Flink reaches into, from Java 16 on closed.
_OPENED = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.text", "java.time", "java.util",
                    "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
                    "java.lang.reflect", "java.lang.invoke")
]  # fmt: skip


def missing() -> str | None:
    """Say what is not there of what scripts/flink.sh fetches; None when all of it is."""
    if (FLINK / "job-server.jar").exists():
        return None if shutil.which("java") else "no Java on this machine"
    told = FLINK / "missing"
    return told.read_text().strip() if told.exists() else "scripts/flink.sh has not been run"


@contextmanager
def flink_cluster(folder: Path) -> Iterator[list[str]]:
    """Run it, and yield Beam's options for it.

    What the cluster logs is printed when the body fails.
    """
    rest, rpc, pool = (free_port() for _ in range(3))
    home = folder / "flink"
    for name in ("conf", "log", "tmp"):
        (home / name).mkdir(parents=True)
    settings = _SETTINGS | {
        "jobmanager.rpc.port": rpc,
        "rest.port": rest,
        "parallelism.default": TASK_MANAGERS,
        "io.tmp.dirs": home / "tmp",
    }
    (home / "conf" / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    java = ["java", "-Xmx512m", *_OPENED, "-cp", f"{FLINK / 'lib'}/*"]
    configuration = ["--configDir", str(home / "conf")]
    commands: list[list[str]] = [
        [*java, "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", *configuration],
        *[[*java, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", *configuration]] * TASK_MANAGERS,
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}"],
    ]
    with open(home / "log" / "output", "wb") as output:
        processes = [
            subprocess.Popen(command, stdout=output, stderr=output, env=pool_environment(), start_new_session=True)
            for command in commands
        ]
        try:
            _wait_for_task_managers(f"http://127.0.0.1:{rest}/taskmanagers")
            yield [
                "--runner=FlinkRunner",
                f"--flink_master=127.0.0.1:{rest}",
                "--flink_version=1.19",
                f"--flink_job_server_jar={FLINK / 'job-server.jar'}",
                "--environment_type=EXTERNAL",
                f"--environment_config=127.0.0.1:{pool}",
                f"--parallelism={TASK_MANAGERS}",
                # Else every stage starts workers of its own, and may end them while others still talk to them.
                "--environment_cache_millis=60000",
            ]
        except BaseException:
            print((home / "log" / "output").read_text(errors="replace")[-20_000:])
            raise
        finally:
            for process in processes:
                os.killpg(process.pid, 9)
                process.wait()


def pool_environment() -> dict[str, str]:
    """The environment for a pool of workers, which starts them as the first `python` of the PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _wait_for_task_managers(address: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 300  # on a busy machine it has taken over two minutes
    while time.monotonic() < deadline:
        try:
            with opener.open(address, timeout=2) as answer:
                if answer.read().count(b'"id"') >= TASK_MANAGERS:
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise TimeoutError(f"no {TASK_MANAGERS} task managers at {address} within five minutes")
