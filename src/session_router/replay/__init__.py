"""What would the router have done to recorded sessions? The loop, what it costs, and the counts.

for recording in SessionFile(path):
    for call in replay_session(recording, router):
        print(call.to_plain())
"""

from __future__ import annotations

from session_router.replay.loop import Pace, ReplayedCall, areplay_session, replay_session
from session_router.replay.recorded_needs import RecordedNeeds
from session_router.replay.stored import StoredAnswers, StoredCounts
from session_router.replay.summary import Summary

__all__ = ["Pace", "RecordedNeeds", "ReplayedCall", "StoredAnswers", "StoredCounts", "Summary", "areplay_session", "replay_session"]
