"""Answers that are never kept: refusals, and what may be cut off."""

from __future__ import annotations

import re
from typing import Final

READ_CHARACTERS: Final = 400
"""Who refuses does so at once."""

WHOLE: Final = frozenset({"stop", "end_turn", "stop_sequence", "completed", "eos", "eos_token"})
"""What providers say of an answer that came to its own end, in small letters."""

_REFUSALS: Final = re.compile(
    r"(?<!\w)(?:"
    # English
    r"i(?:'m| am)(?: really| very| so)? (?:sorry|afraid|unable|not able|not allowed|not permitted|not comfortable|not going to)|"
    r"i (?:can't|cannot|can not|won't|will not|must decline|have to decline|do not have (?:access|the ability|information|real-time)|"
    r"don't have (?:access|the ability|information|real-time|enough)|don't know|do not know|refuse|apologi[sz]e)|"
    r"(?:sorry|apologies|unfortunately),? (?:but )?(?:i|we|that|this|no)|my apologies|as an ai|as a language model|"
    r"i(?:'d| would) rather not|we (?:can't|cannot|are unable)|(?:this|that|your request) "
    r"(?:request )?(?:violates|goes against|is not something i)|"
    r"(?:against|violates?) (?:my|our|the) (?:guidelines|policy|policies|programming|terms)|"
    r"please (?:try again|rephrase|provide more|clarify)|could you (?:please )?(?:clarify|provide more|rephrase)|"
    r"something went wrong|an error (?:has )?occurred|internal server error|"
    # German, French, Spanish, Italian, Portuguese, Dutch, Polish, Russian, Turkish
    r"es tut mir leid|tut mir leid|entschuldigung|leider (?:kann|darf|habe|ist)|"
    r"ich (?:kann|darf|werde) (?:\w+ ){0,4}nicht|als (?:ki|sprachmodell)|"
    r"(?:je suis )?désolée?|je (?:ne )?(?:peux|puis) pas|malheureusement|en tant qu'(?:ia|intelligence)|"
    r"lo siento|lo lamento|no puedo|no me es posible|desafortunadamente|lamentablemente|como (?:modelo de lenguaje|ia|una ia)|"
    r"mi dispiace|non posso|purtroppo|sinto muito|desculpe|não posso|infelizmente|"
    r"het spijt me|ik kan (?:\w+ ){0,3}niet|helaas|przykro mi|nie mogę|niestety|к сожалению|извините|простите|я не могу|üzgünüm|maalesef"
    r")(?!\w)",
    re.IGNORECASE,
)
_UNSPACED: Final = (
    *("抱歉", "对不起", "對不起", "很遗憾", "很遺憾", "我无法", "我無法", "我不能", "申し訳", "すみません", "お答えでき", "できません"),
    *("죄송", "유감", "할 수 없", "آسف", "عذر", "لا أستطيع", "لا يمكنني", "माफ़", "क्षमा", "नहीं कर सकत", "ขออภัย", "מצטער", "איני יכול"),
)


def refusal(answer: str) -> str | None:
    """Return why `answer` must not be kept, or `None`: it refuses, excuses itself, asks back, or says nothing.

    By how it begins, in several languages. Too many are taken for refusals rather than too few: each costs one entry.
    """
    beginning = answer.strip()[:READ_CHARACTERS].replace("\u2019", "'")
    if not beginning:
        return "it is empty"
    if _REFUSALS.search(beginning) is not None or any(map(beginning.__contains__, _UNSPACED)):
        return "it reads like a refusal"
    return None


def cut_off(finish_reason: str | None) -> str | None:
    """Return why an answer with this finish reason must not be kept, or `None` when it came to its own end.

    Args:
        finish_reason: As the provider says it, in any case of letters. One that is absent or not known is no end.
    """
    if finish_reason is None:
        return "nobody says that it is whole"
    return None if finish_reason.lower() in WHOLE else "it did not come to its own end"
