"""How much room this machine has: disk, memory and processors, as the kernel tells."""

import os
import platform
from pathlib import Path
from typing import Any

_MEMORY = Path("/proc/meminfo")


def read_room(directory: Path) -> dict[str, Any]:
    """The machine's name and kernel, and what is free of its disk and memory, in bytes.

    `disk_…` is of the file system of `directory`; `load` is the mean of the last minute
    (proc_loadavg(5)), `memory_free_bytes` what can be had without swapping (proc_meminfo(5)).
    """
    disk = os.statvfs(directory)
    memory = _memory_kib()
    return {
        "machine": platform.node(),
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "disk_size_bytes": disk.f_blocks * disk.f_frsize,
        "memory_free_bytes": memory["MemAvailable"] * 1024,
        "memory_size_bytes": memory["MemTotal"] * 1024,
    }


def _memory_kib() -> dict[str, int]:
    lines = _MEMORY.read_text(encoding="ascii").splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (each.partition(":") for each in lines)}
