"""What guards and the verifier read of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from session_router.cache.guard_words import ASKING, HOW
from session_router.cache.remembering import Words, remembered
from session_router.cache.text_forms import composed
from session_router.cache.wordings import written_out

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKEN = re.compile(
    r"""
    https?://\S+ | [\w.+-]{1,64}@[\w-]+\.[\w.-]+       # addresses
  | [\w.~-]{0,64}[/\\][\w./\\~-]{0,256}\w                   # paths
  | \d+(?:[.,:/-]\d+)*                                   # numbers, dates, times
  | (?:[^\W_]|[\u0300-\u036f])+(?:['-][^\W_]+)*         # words, with marks over their letters
  | [^\s\w] | _                                          # marks
    """,
    re.VERBOSE,
)
_REMEMBERED: Final = 4_096

FUNCTION_WORDS: Final = frozenset(
    """
    a an the this that these those i me my mine we us our you your he him his she her it its they them their one ones
    is am are was were be been being do does did done have has had having will would shall should can could may might must
    and or but if then so than as of in on at by for with about into onto to from up out off over there here
    what which who whom whose where when why how not no please just also too very really any some all get got
    der die das den dem des ein eine einen einem einer ich mein meine mich mir du dein wir
    ist sind war kann und oder zu von mit für auf im wie was
    le la les un une des du de je mon ma mes tu vous nous est sont et ou à au aux en pour avec comment que qui
    el los las una unos unas yo mi mis es son y o al con por para cómo qué
    il lo gli i uno di da del della nel che come sono ho
    os as um uma eu meu minha é são e ao do da no na
    """.split()  # noqa: SIM905 -- a hundred quotation marks are no easier to read
)
"""Words that say little by themselves, in some languages."""


# Never changed, and not frozen: one is made of every text, and to freeze it would cost three times as much.
@dataclass(slots=True, kw_only=True, eq=False)
class Reading:
    """A text, taken apart. Two readings are equal if they are one: what is remembered of a reading is then found at once.

    Attributes:
        text: In one composition.
        tokens: Words, numbers and marks as they are written.
        words: The tokens that are no marks, in small letters.
        content: Those of them that say something by themselves, as stems.
    """

    text: str
    tokens: tuple[str, ...]
    words: tuple[str, ...]
    content: tuple[str, ...]


@remembered(_REMEMBERED)
def reading_of(text: str) -> Reading:
    """Take a text apart. Contractions are written out."""
    whole = composed(text)
    tokens: list[str] = []
    words: list[str] = []
    content: list[str] = []
    # No token, no word and no contraction reaches over white space, or looks beyond it.
    for part in whole.split():
        its_tokens, its_words, its_content = _parts[part]
        tokens += its_tokens
        words += its_words
        content += its_content
    return Reading(text=whole, tokens=tuple(tokens), words=tuple(words), content=tuple(content))


def _part(part: str) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Return tokens, words and content of a text without white space."""
    tokens = tuple(_TOKEN.findall(part))
    words = tuple(_TOKEN.findall(written_out(" ".join([token for token in tokens if token[0].isalnum() or len(token) > 1]).lower())))
    return tokens, words, tuple([stem(word) for word in words if word not in FUNCTION_WORDS])


_parts = Words(_part)


def content_of_part(part: str) -> Sequence[str]:
    """Return the content of a text without white space."""
    return _parts[part][2]


@remembered(2 * _REMEMBERED)
def stem(word: str) -> str:
    """Return `word` without the commonest endings of English: the same for most forms of one word."""
    if not word.isalpha():
        return word
    for end in ("ingly", "edly", "ing", "ied", "ies", "ed", "ly", "es", "s"):
        if word.endswith(end) and len(word) - len(end) >= 3 and not word.endswith(("ss", "us", "is")):  # noqa: PLR2004 -- letters
            word = word[: len(word) - len(end)] + ("y" if end in {"ied", "ies"} else "")
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":  # noqa: PLR2004 -- letters
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word  # noqa: PLR2004 -- letters


@remembered(_REMEMBERED)
def asking_of(reading: Reading) -> str | None:
    """Return what a text asks for: who, when, where, why, how, how many and the like; `None` when it does not say."""
    for word, after in zip(reading.words, [*reading.words[1:], ""], strict=False):
        if word in ASKING:
            kind = ASKING[word]
            return HOW.get(after, kind) if kind == "how" else kind
    return None
