"""Networks run by OpenVINO (https://docs.openvino.ai): exported once from torch, compiled for this processor."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .network_cache import cached
from .runtimes import Precision, threads

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = npt.NDArray[Any]
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def _openvino() -> Any:
    """The library, kept from reporting its use: it would send an event to a server when imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class OpenVinoNet:
    """A network with one input, compiled; may be called from several threads, which then wait for one another.

    Args:
        name: of the network, for its folder in the cache.
        key: what its weights are.
        make: the torch network and an example of its input, called only if there is no export in the cache.
        shape: of the input; -1 where it varies.
    """

    def __init__(
        self,
        name: str,
        key: str,
        make: Callable[[], tuple[nn.Module, Tensor]],
        shape: tuple[int, ...],
        precision: Precision = "fp32",
    ) -> None:
        openvino = _openvino()

        def convert() -> Any:
            net, example = make()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the tracer's, about shapes that are fixed anyway
                return openvino.convert_model(
                    net.eval(), example_input=example, input=[openvino.PartialShape(list(shape))]
                )

        def export(folder: Path) -> None:
            openvino.save_model(convert(), folder / "net.xml", compress_to_fp16=False)

        try:
            model = cached(name, (key, shape, openvino.get_version()), export) / "net.xml"
        except (OSError, RuntimeError):  # no home, or no room there: exported again on every start
            model = convert()
        compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
                "INFERENCE_NUM_THREADS": threads(),
                "ENABLE_CPU_PINNING": False,  # threads that stay where they are starve on a busy machine
            },
        )
        self._request, self._lock = compiled.create_infer_request(), Lock()

    def __call__(self, values: Array) -> list[Array]:
        """The outputs for an input, in the network's order."""
        with self._lock:
            return list(self._request.infer([np.ascontiguousarray(values)], share_inputs=True).values())
