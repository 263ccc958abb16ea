"""What `fieldfare rollout start` can be told, and how each option is explained."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="The model's name.")]
To = Annotated[str, typer.Option(metavar="QUERY", help='Who: all, or such as: hw = rpi5 and label.site = "lyon".')]
ReleaseCounter = Annotated[int | None, typer.Option(help="Release counter; without it the newest.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show who would get what, and who nothing and why; change nothing.")]
StrategyName = Annotated[str, typer.Option(help="all-at-once, phased, canary, shadow, or split.")]
Waves = Annotated[str | None, typer.Option(metavar="SIZES", help="How much is reached with each wave: 1%,10%,50%,100% or 5,100%.")]
Gate = Annotated[
    str | None,
    typer.Option(metavar="LIMITS", help="How much worse it may be: errors=0.02,p95=1.2,restarts=0.2; of a shadow agreement=0.98."),
]
Threshold = Annotated[str | None, typer.Option(metavar="SIZE", help="How many devices may be lost, such as 5% or 3.")]
Soak = Annotated[str | None, typer.Option(metavar="TIME", help="How long each wave is watched, such as 15m.")]
PatienceS = Annotated[float, typer.Option(min=1, help="Seconds for which the gate may lack evidence.")]
DeadlineS = Annotated[float, typer.Option(min=1, help="Seconds after which a device that was met has failed.")]
Contact = Annotated[str | None, typer.Option(metavar="TIME", help="How long a device without a link is waited for.")]
Window = Annotated[str | None, typer.Option(metavar="HH:MM-HH:MM", help="When devices are offered it, by their clocks.")]
Zone = Annotated[str, typer.Option(help="Time zone of devices without the label tz.")]
Rate = Annotated[str | None, typer.Option(metavar="N/min", help="How many devices a minute are offered it.")]
Approval = Annotated[bool, typer.Option("--approval", help="Wait for a second person.")]
Newcomers = Annotated[bool, typer.Option("--newcomers", help="Devices that are added meanwhile join the last wave.")]
TakeBack = Annotated[bool | None, typer.Option("--take-back/--keep", help="Whether a stop returns those that have it.")]
Rival = Annotated[int | None, typer.Option(help="Release of the other half of a split.")]
Hold = Annotated[str | None, typer.Option(metavar="TIME", help="How long a split is compared, such as 7d.")]
Share = Annotated[str | None, typer.Option(metavar="PART", help="Of a shadow: how much of the inputs it sees, such as 5%.")]
MinInputs = Annotated[int | None, typer.Option(help="Of a shadow: inputs that a device compares before it counts.")]
MaxCpu = Annotated[float | None, typer.Option(help="Of a shadow: what it may take of one core, such as 0.5.")]
MaxTemperature = Annotated[float | None, typer.Option(metavar="C", help="Of a shadow: above it the device's shadow pauses.")]
