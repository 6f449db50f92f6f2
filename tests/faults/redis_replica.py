"""A replica in a process of its own: commits to one session until it has won a number of times, whatever becomes of Redis.

Arguments: `url`, `sentinel` or `cluster`; the addresses, separated by commas; the session's id; the number of wins. Waits for the end
of standard input, so that replicas start together, then prints each version that it won, and each of which it does not know.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from session_router.core.session import Session, SessionId
from session_router.errors import StoreUnavailable
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_servers import RedisServers

KEY = b"k" * 32
MASTER = "main"


def servers_of(kind: str, addresses: list[str]) -> RedisServers:
    if kind == "url":
        return RedisServers.from_url(f"redis://{addresses[0]}")
    return RedisServers.cluster(addresses) if kind == "cluster" else RedisServers.sentinel(addresses, master=MASTER)


def main(kind: str, addresses: str, session: str, wins: int) -> None:
    sys.stdin.read()
    with RedisSessionStore(servers_of(kind, addresses.split(",")), key=KEY) as store:
        won = 0
        while won < wins:
            version = 0
            try:
                stored = store.load(SessionId(session)) or Session(id=SessionId(session))
                # `turn` counts the commits: a lost update would leave it behind the version.
                proposal = replace(stored, turn=stored.turn + 1).committed()
                version = proposal.version
                if store.commit(proposal):
                    won += 1
                    sys.stdout.write(f"won {version}\n")
            except StoreUnavailable:
                if version:
                    sys.stdout.write(f"unknown {version}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
