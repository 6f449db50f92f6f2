"""Recorded sessions, of whatever format, as the core's values. One module a format."""

from __future__ import annotations

from session_router.recordings.file import SessionFile
from session_router.recordings.openai_messages import recording_from_openai
from session_router.recordings.otlp import TraceFile
from session_router.recordings.recording import RecordedMessage, Recording

__all__ = ["RecordedMessage", "Recording", "SessionFile", "TraceFile", "recording_from_openai"]
