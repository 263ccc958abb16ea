"""What the fleet tells people, in the words of the REST API; CLI and dashboard show exactly these values."""

from __future__ import annotations

from fleet.views.access import AuditPage, TokenView, UserView
from fleet.views.base import View
from fleet.views.charts import Gauges, HealthPoint, InferencePoint
from fleet.views.commands import CommandSummary, CommandView
from fleet.views.devices import DeviceDetail, DeviceSummary, EventView, Gap, QuarantinedMessage
from fleet.views.overview import Overview
from fleet.views.pages import MAX_LIMIT, Page
from fleet.views.reader import FleetReader
from fleet.views.releases import ReleaseView
from fleet.views.rollouts import (
    ComparisonView,
    DeviceRolloutView,
    GateView,
    MetricView,
    PlanView,
    RolloutDeviceView,
    RolloutEntryView,
    RolloutState,
    RolloutSummary,
    RolloutView,
    ShadowView,
    ShadowWork,
    WaveView,
)
from fleet.views.settings import ConfigurationView, ConfiguredDevice, ConfiguringView, DeviceSettings, SettingsState
from fleet.views.targeting import (
    ArtifactPreview,
    ExcludedView,
    GroupDetail,
    GroupMember,
    GroupView,
    LabelledView,
    ObstaclePreview,
    RolloutPreview,
    TargetView,
    WholePreview,
)

__all__ = [
    "MAX_LIMIT",
    "ArtifactPreview",
    "AuditPage",
    "CommandSummary",
    "CommandView",
    "ComparisonView",
    "ConfigurationView",
    "ConfiguredDevice",
    "ConfiguringView",
    "DeviceDetail",
    "DeviceRolloutView",
    "DeviceSettings",
    "DeviceSummary",
    "EventView",
    "ExcludedView",
    "FleetReader",
    "Gap",
    "GateView",
    "Gauges",
    "GroupDetail",
    "GroupMember",
    "GroupView",
    "HealthPoint",
    "InferencePoint",
    "LabelledView",
    "MetricView",
    "ObstaclePreview",
    "Overview",
    "Page",
    "PlanView",
    "QuarantinedMessage",
    "ReleaseView",
    "RolloutDeviceView",
    "RolloutEntryView",
    "RolloutPreview",
    "RolloutState",
    "RolloutSummary",
    "RolloutView",
    "SettingsState",
    "ShadowView",
    "ShadowWork",
    "TargetView",
    "TokenView",
    "UserView",
    "View",
    "WaveView",
    "WholePreview",
]
