"""A replica in a process of its own: commits to one session until it has won a number of times, or forever.

Arguments: path, key in hex, session id, number of wins. Waits for the end of standard input, so that replicas start
together, then prints each version it won, once it is committed.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from session_router.core.session import Session, SessionId
from session_router.stores.sqlite import SQLiteSessionStore


def main(path: str, key: str, session: str, wins: int) -> None:
    sys.stdin.read()
    with SQLiteSessionStore(path, key=bytes.fromhex(key), busy_timeout_seconds=30.0) as store:
        won = 0
        while won < wins:
            stored = store.load(SessionId(session)) or Session(id=SessionId(session))
            # `turn` counts the commits: a lost update would leave it behind the version.
            proposal = replace(stored, turn=stored.turn + 1).committed()
            if store.commit(proposal):
                won += 1
                sys.stdout.write(f"{proposal.version}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
