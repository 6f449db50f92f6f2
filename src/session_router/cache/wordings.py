"""What wording says nothing: manners, contractions, the question mark after a question. By languages, and with every exception."""

from __future__ import annotations

import re
from typing import Final

from session_router.cache.remembering import Words

_ASKING = (
    # English; a statement or a command may begin with "do", "have" and "will", but not before these words.
    r"(?:what|who|whom|whose|which|where|when|why|how)(?:'s|'re)?|(?:is|are|was|were|does|did|can|could|would|should|has|am)(?:n't)?|"
    r"(?:do|have|had|will|shall|may)(?:n't)? (?:i|you|we|they)|"
    # German, Dutch
    r"wie|was|wer|wen|wem|wo|wann|warum|wieso|weshalb|wohin|woher|welche[rsnm]?|wat|waar|wanneer|waarom|hoe|welke?|"
    # French, Spanish, Italian, Portuguese
    r"qui|quoi|comment|pourquoi|où|combien|quel(?:le)?s?|est-ce|qu'est-ce|qué|quién(?:es)?|cómo|cuándo|dónde|cuál(?:es)?|cuánt[oa]s?|"
    r"por qué|chi|cosa|dove|quale|quanto|quem|onde|qual|quais"
)
_QUESTION = re.compile(rf"[\u00bf\u00a1 ]*(?:{_ASKING})\b", re.IGNORECASE)
# To look at no capitals is quicker.
_SMALL_QUESTION = re.compile(rf"(?:{_ASKING})\b")

_NOT = re.compile(
    r"(?<![\w'-])(do|does|did|is|are|was|were|has|have|had|could|would|should|must|need)(?:n't|nt)(?![\w'-])|"
    r"(?<![\w'-])(?:(ca)n't|(can)not|(wo)n't)(?![\w'-])"
)
_NOT_OF = {"ca": "can not", "can": "can not", "wo": "will not"}
_VERB = re.compile(
    r"(?<![\w'-])(?:(i)'m|(you|we|they|who|what|where|how)'re|(i|you|we|they)'ve|(i|you|he|she|it|we|they|who|what|that)'ll|"
    r"(what|where|who|how|when|why|that|there|here|it)'s)(?![\w'-])"
)
_VERBS = ("am", "are", "have", "will", "is")

_ABOUT_WORDS = re.compile(
    r"(?<!\w)(?:say|says|said|saying|tell|call|called|word|words|phrase|sentence|text|mean|means|meaning|translate|translated|translation|"
    r"spell|spelled|spelling|pronounce|letters?|characters?|grammar|rewrite|rephrase|correct|reply|respond|polite|politely|rude|greet|greeting|"
    r"heißt|bedeutet|sagt|sagen|wort|wörter|satz|übersetz\w*|signifie|dire|dit|mot|mots|phrase|traduir\w*|traduis\w*|"
    r"significa|decir|dice|palabras?|frase|traduc\w*|parol[ae]|dizer|palavras?|traduz\w*|betekent|zeg|zeggen|woord|vertaal\w*)(?!\w)"
)
"""Where one speaks of words, every word is part of the question."""

_QUESTION_WORD = r"(?=(?:what|who|whom|whose|which|where|when|why|how)\b)"
_PLEASE = r"please|kindly|bitte|s'il (?:vous|te) pla[iî]t|svp|por favor|per favore|per piacere|alsjeblieft|alstublieft"
_THANKS = (
    r"thanks(?: a lot| in advance)?|thank you(?: very much| so much| in advance)?|thx|danke(?: schön)?|vielen dank|merci(?: beaucoup)?|"
    r"(?:muchas )?gracias|grazie(?: mille)?|obrigad[oa]|bedankt|dank (?:je|u)"
)
_GREETING = (
    r"hi|hello|hey|good (?:morning|afternoon|evening)|hallo|guten (?:tag|morgen|abend)|bonjour|bonsoir|salut|hola|buenos días|ciao|"
    r"buongiorno|olá|bom dia|goedendag"
)
_NEEDED_FOR_MANNERS = frozenset(
    """
    hi hello hey good hallo guten bonjour bonsoir salut hola buenos ciao buongiorno bom goedendag
    please kindly bitte s plait svp por per alsjeblieft alstublieft
    thanks thank thx danke vielen merci gracias grazie obrigado obrigada bedankt dank
    let explain know tell
    """.split()  # noqa: SIM905 -- words are easier to read without quotation marks
)
"""A text in ASCII has no manners without one of these words."""

_MARKS_AS_BLANKS: Final = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) != "_"}
_MANNERS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^(?:{_GREETING})(?: there)?(?: ?[,.!]+ ?| (?=(?:please|can you|could you|how do i|how can i|i)\b))",
        rf"^(?:{_PLEASE}),? ",
        r"^(?:can|could|would|will) you (?:please|kindly) ",
        rf"^(?:(?:can|could|would) you )?(?:please )?(?:let me know|explain to me) {_QUESTION_WORD}",
        rf"^(?:do you know|i would like to know|i want to know|i need to know) {_QUESTION_WORD}",
        # `kindly` says how, at the end, and what is hard to please is no plea.
        rf"(?<! to)(?:,? (?!kindly)|, )(?:{_PLEASE})[.!]*$",
        rf"[,.!?] ?(?:{_THANKS})[.!]*$",
    )
)
_TELL_ME = re.compile(rf"^(?:(?:can|could|would|will) you )?(?:please )?tell me {_QUESTION_WORD}")
_SUPERLATIVE = r"(?:best|most|worst|least|biggest|largest|smallest|highest|lowest|fastest|cheapest|easiest|main|difference)"
_ARTICLE = re.compile(
    rf"(?<![\w'-])(is|are|was|were|find|know|get) the (?={_SUPERLATIVE} [^\W\d_]|(?:[^\W\d_]+ ){{1,3}}(?:of|between) [^\W_])"
)
_PLACES = re.compile(r"(?<!\w)(?:one|ones|few|who|the)(?!\w)")


def is_question(form: str) -> bool:
    """Whether `form` begins as only questions do, so that a question mark says nothing more."""
    return _QUESTION.match(form) is not None


def is_small_question(form: str) -> bool:
    """Return what `is_question` does, of a text in small letters without marks in front."""
    return _SMALL_QUESTION.match(form) is not None


def written_out(form: str) -> str:
    """Return `form` with English contractions written out; "who's" and its like always as "who is"."""
    if "'" not in form and "nt" not in form and "cannot" not in form:
        return form
    # A contraction ends where a blank is.
    return " ".join([_words_in_full[word] for word in form.split(" ")])


def _in_full(form: str) -> str:
    form = _NOT.sub(lambda found: f"{found[1]} not" if found[1] else next(_NOT_OF[part] for part in found.groups()[1:] if part), form)

    def in_full(found: re.Match[str]) -> str:
        place, subject = next((place, group) for place, group in enumerate(found.groups()) if group)
        return f"{subject} {_VERBS[place]}"

    return _VERB.sub(in_full, form)


_words_in_full = Words(_in_full)


def _says_all(word: str) -> bool:
    plain = word != "the" and _NEEDED_FOR_MANNERS.isdisjoint(word.translate(_MARKS_AS_BLANKS).split())
    return plain and _words_in_full[word] == word


says_all = Words(_says_all)
"""By words between blanks: whether such a word is part of what is asked, and stays as it is, whatever stands beside it.

A text in ASCII of such words alone is left alone by `written_out` and `without_manners`.
"""


def without_manners(form: str) -> str:
    """Return `form` without greetings, thanks, "please", "could you tell me", and English "the" where it says nothing.

    "The" says something in "what is the matter" and "in the charge of": only that before a superlative, or before "... of ...", after
    a verb goes, as in "what is the capital of ...".
    """
    mannered, articled = _may_have_manners(form), " the " in form
    if not (mannered or articled):
        return form
    shorter = _TELL_ME.sub("", form) if mannered else form
    if _ABOUT_WORDS.search(shorter) is not None:
        return form
    for pattern in _MANNERS if mannered else ():
        shorter = pattern.sub("", shorter)
    return shorter if not articled or _PLACES.search(shorter.replace(" the ", " ", 1)) else _ARTICLE.sub(r"\1 ", shorter)


def _may_have_manners(form: str) -> bool:
    return not (form.isascii() and _NEEDED_FOR_MANNERS.isdisjoint(form.translate(_MARKS_AS_BLANKS).split()))
