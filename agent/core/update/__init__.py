"""One model's update machine: pure, and the same after every restart."""

from agent.core.update.events import (
    Crashed,
    Damaged,
    Disproved,
    Do,
    Done,
    Effect,
    Event,
    Failed,
    Progressed,
    Steady,
    Unsuitable,
    Waited,
    Wished,
)
from agent.core.update.state import MAX_ATTEMPTS, MAX_CRASHES, MAX_STRIKES, Update
from agent.core.update.step import leave, resume, step
from agent.core.update.waiting import STEADY_S, limit_s, next_tick_s

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_CRASHES",
    "MAX_STRIKES",
    "STEADY_S",
    "Crashed",
    "Damaged",
    "Disproved",
    "Do",
    "Done",
    "Effect",
    "Event",
    "Failed",
    "Progressed",
    "Steady",
    "Unsuitable",
    "Update",
    "Waited",
    "Wished",
    "leave",
    "limit_s",
    "next_tick_s",
    "resume",
    "step",
]
