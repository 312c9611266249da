"""What runs the networks, and in which precision: chosen by what is installed and what the processor can do."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from ..errors import MaskclsError

Engine = Literal["torch", "openvino"]
Precision = Literal["fp32", "bf16"]
ENGINES: tuple[Engine, ...] = ("openvino", "torch")
"""Fastest first (``docs/speed.md``)."""
PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32")
"""Fastest first; ``auto`` chooses among these because the answers of all of them agree (``docs/speed.md``)."""
INSTALL = "pip install 'maskcls[fast]'"


@dataclass(frozen=True)
class Runtime:
    """An engine and its precision."""

    engine: Engine = "torch"
    precision: Precision = "fp32"

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


REFERENCE = Runtime()
"""What all others are measured against."""


_process: int | None = None
"""Id of the process in which a model was loaded; None before."""


def check_process() -> None:
    """Remember that networks run in this process; called wherever they are loaded or run.

    Raises:
        MaskclsError: this process was forked from one with a loaded model: the networks' threads do not exist in the
            fork, and a call would wait for them forever.
    """
    global _process
    if _process not in (None, os.getpid()):
        raise MaskclsError(
            "this process was forked after a model was loaded, and the networks' threads do not exist in it; start "
            "workers by spawn or forkserver: multiprocessing.get_context('spawn')"
        )
    _process = os.getpid()


def pick_runtime(engine: str = "auto", precision: str = "auto", device: str = "cpu") -> Runtime:
    """The fastest runtime whose answers stay within the tolerance of ``docs/speed.md``, or the one asked for.

    Args:
        engine: ``auto``, ``torch`` or ``openvino``; OpenVINO is taken for the processor if it is installed.
        precision: ``auto``, ``fp32`` or ``bf16``; bfloat16 is taken where the device computes in it natively.
        device: ``cpu`` or ``cuda``, see :func:`~.encoder.pick_device`.

    Raises:
        MaskclsError: what was asked for is unknown, not installed, or does not fit the device.
    """
    if engine not in ("auto", *ENGINES):
        raise MaskclsError(f"--runtime {engine}: choose auto, torch or openvino")
    if precision not in ("auto", *PRECISIONS):
        raise MaskclsError(f"--precision {precision}: choose auto, fp32 or bf16")
    if engine == "openvino" and device != "cpu":
        raise MaskclsError(f"--runtime openvino runs on the processor, not on --device {device}; use --runtime torch")
    if engine == "openvino" and not has_openvino():
        raise MaskclsError(f"--runtime openvino: OpenVINO is not installed; run `{INSTALL}` or use --runtime torch")
    chosen: Engine = "openvino" if engine != "torch" and device == "cpu" and has_openvino() else "torch"
    if precision == "fp32" or not has_bf16(device):
        if precision == "bf16":
            raise MaskclsError("--precision bf16: this processor does not compute in bfloat16; use --precision fp32")
        return Runtime(chosen, "fp32")
    return Runtime(chosen, "bf16")


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def has_bf16(device: str = "cpu") -> bool:
    """Whether the device multiplies bfloat16 natively; where it does not, bfloat16 is slower than float32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    abilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(abilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, in this thread and in those that start within the ``with`` statement.

    More make small steps slower, ten times on a busy machine. The caller's number is set again in the end.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads() -> int:
    """Threads that a network may use: ``OMP_NUM_THREADS``, as for torch, else the processors of this process."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
