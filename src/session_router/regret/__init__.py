"""How far from the best possible? The cheapest routing that a session's locks allow, and the distance of others to it.

evaluation = Evaluation(router)
for recording in recordings:
    evaluation.add(list(replay_session(recording, router)))
print(evaluation.report().to_plain())
"""

from __future__ import annotations

from session_router.regret.accounting import Chances, ChancesOf, ScorerChances, ServableCall, SessionCosts
from session_router.regret.bill import Bill, Charge, Terms
from session_router.regret.evaluation import Evaluation
from session_router.regret.figures import Figures
from session_router.regret.optimum import Hindsight
from session_router.regret.report import Report
from session_router.regret.routings import Routing, always, choosing
from session_router.regret.timeline import SessionRegret, Timeline

__all__ = [
    "Bill",
    "Chances",
    "ChancesOf",
    "Charge",
    "Evaluation",
    "Figures",
    "Hindsight",
    "Report",
    "Routing",
    "ScorerChances",
    "ServableCall",
    "SessionCosts",
    "SessionRegret",
    "Terms",
    "Timeline",
    "always",
    "choosing",
]
