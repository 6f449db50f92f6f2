"""A writer may die at any byte: what it was writing is kept aside, all before it stands, and the chain goes on."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.audit.file import AuditFile

KEY = b"k" * 32


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 4), st.floats(0, 1, exclude_max=True), st.integers(1, 2), st.integers(1, 3))
def test_death_at_any_byte_loses_what_was_being_written_and_no_more(before: int, share: float, deaths: int, after: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "audit.jsonl")
        with AuditFile(path, key=KEY, sync_seconds=None) as log:
            for number in range(before):
                log.append({"at": number, "session": "s"})
            heads = log.head.read_bytes() if before else b""
            whole = path.read_bytes()
            log.append({"at": "torn", "session": "s"})
            line = path.read_bytes()[len(whole) :]
        torn = line[: int(share * len(line))]
        path.write_bytes(whole + torn)
        path.with_name("audit.jsonl.head").write_bytes(heads)
        with AuditFile(path, key=KEY, sync_seconds=None) as log:
            if deaths > 1 and torn:
                # Dead again, in the middle of the note about the first death.
                note = path.read_bytes()[len(whole) :]
                path.write_bytes(whole + note[: len(note) // 2])
                log.head.write_bytes(heads)
        with AuditFile(path, key=KEY, sync_seconds=None) as log:
            for number in range(after):
                log.append({"at": number, "session": "s"})
            found = log.verify()
            assert found.problems == ()
            assert [record["at"] for record in log.records()] == [*range(before), *range(after)]
            assert [note["event"] for note in found.notes] == ["recovered"] * bool(torn)
            aside = [one.read_bytes() for one in Path(directory).glob("*.torn-*")]
            assert not torn or torn in aside
