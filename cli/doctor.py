"""``maskcls doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import JOBS, Device, DeviceOption, JobsOption, WeightsOption
from .terminal import one_line_errors, tell


def doctor(
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Also check this model, and predict with it.")
    ] = None,
    jobs: JobsOption = JOBS,
    device: DeviceOption = Device.auto,
    weights: WeightsOption = None,
) -> None:
    """Check that everything a prediction needs is there and intact, and how fast it runs. Exit code 1 if not."""
    with one_line_errors():
        from ..classify.model.doctor import examine
        from ..embedder.errors import MaskclsError

        broken, found = [], []
        for finding in examine(model, weights, device.value, jobs):
            found.append(finding)
            tell(findings=found)
            typer.echo(f"{'ok' if finding.fine else 'BROKEN':6} {finding.name}: {finding.text}")
            if not finding.fine:
                broken.append(finding.name)
        if broken:
            raise MaskclsError(f"broken: {', '.join(broken)}")
