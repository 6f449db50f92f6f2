"""A process that appends to an audit log: a number of records, or forever.

Arguments: path, key in hex, name, number of records. Waits for the end of standard input, so that processes start together, then
prints each record's number once it is appended.
"""

from __future__ import annotations

import sys

from session_router.audit.file import AuditFile


def main(path: str, key: str, name: str, records: int) -> None:
    sys.stdin.read()
    with AuditFile(path, key=bytes.fromhex(key), sync_seconds=None, patience_seconds=30.0) as log:
        for number in range(records):
            log.append({"at": number, "session": name, "evidence": "x" * 5_000})
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
