"""Outcomes -> a scorer that is fitted to them, and a report of how good it is on outcomes that it was not fitted to."""

from __future__ import annotations

from session_router.fitting.fit import FitSettings, Fitted, fit_outcomes
from session_router.fitting.outcomes import Grade, Graded, OutcomeFile
from session_router.fitting.report import Report
from session_router.fitting.training import Method

__all__ = ["FitSettings", "Fitted", "Grade", "Graded", "Method", "OutcomeFile", "Report", "fit_outcomes"]
