"""Whether a user corrects what was answered before, in the languages that are met most."""

from __future__ import annotations

import re

READ_CHARACTERS = 1_024
"""Who corrects does so at once."""

_PHRASES = (
    # English
    r"(?:no|nope|wrong|incorrect)\s*[,.!;:—-]",
    r"that(?:'s| is| was) (?:not|wrong|incorrect|false)\b",
    r"(?:this|it|that|which) (?:is|was|still is|is still) (?:wrong|incorrect|broken)\b",
    r"not (?:right|correct|what i (?:asked|meant|wanted|said))\b",
    r"still (?:not|wrong|broken|fails|failing|the same|doesn't|does not|isn't|is not|didn't|can't)\b",
    r"(?:does not|doesn't|did not|didn't) (?:work|help|answer)\b",
    r"(?:you|you've) (?:misunderstood|misread|ignored|forgot|made a mistake|got it wrong)\b",
    r"(?:try|do it|read it) again\b",
    r"i (?:already )?(?:said|told you|asked for)\b",
    # German
    r"(?:nein|falsch)\s*[,.!;:—-]",
    r"das (?:ist|war|stimmt) (?:nicht|falsch|immer noch)\b",
    r"(?:immer )?noch (?:immer )?(?:nicht|falsch)\b",
    r"(?:funktioniert|geht|klappt) (?:immer noch )?nicht\b",
    r"stimmt nicht\b",
    # French
    r"non\s*[,.!;:—-]",
    r"(?:ce n'est|c'est) (?:pas|faux|toujours pas)\b",
    r"(?:toujours|encore) (?:pas|faux)\b",
    r"(?:ne )?(?:marche|fonctionne) (?:toujours )?pas\b",
    # Spanish and Portuguese
    r"(?:eso|esto|isso|isto) (?:no|não) (?:es|está|é)\b",
    r"(?:sigue|todavía|aún|ainda) (?:sin|no|não|mal|está errad[oa])\b",
    r"(?:está mal|está errad[oa]|incorrecto|errado)\b",
    r"(?:no|não) (?:funciona|es correcto|está certo)\b",
    r"não\s*[,.!;:—-]",
    # Italian
    r"(?:è sbagliato|non è (?:corretto|giusto|quello)|non funziona|ancora non)\b",
    # Dutch and Polish
    r"(?:nee\s*[,.!;:—-]|klopt niet\b|nog steeds niet\b|werkt niet\b)",
    r"(?:nie\s*[,.!;:—-]|to nie (?:jest|działa)\b|nadal nie\b|źle\b)",
    # Turkish and Russian
    r"(?:hayır\s*[,.!;:—-]|yanlış\b|hâlâ|çalışmıyor\b)",  # noqa: RUF001 -- Turkish has this letter
    r"(?:нет\s*[,.!;:—-]|это (?:не|неверно|неправильно)\b|неправильно\b|неверно\b|(?:всё|все) (?:ещё|еще) не\b|не работает\b)",
)
# These are written without blanks between words, or their marks stand inside a word.
_UNSPACED = (
    "不对",
    "不對",
    "错了",
    "錯了",
    "还是不",
    "還是不",
    "不是这",
    "不是這",
    "違います",
    "違う",
    "まだ",
    "間違",
    "틀렸",
    "아니요",
    "아직도",
    "خطأ",
    "غلط",
    "ليس صحيح",
)

_CORRECTION = re.compile(rf"(?<!\w)(?:{'|'.join(_PHRASES)})")


def is_correction(text: str) -> bool:
    """Whether `text` reads like "no, that's wrong" or "still not": a guess from wording, by its first 1,024 characters."""
    lowered = text[:READ_CHARACTERS].lower().replace("\u2019", "'")
    return any(map(lowered.__contains__, _UNSPACED)) or _CORRECTION.search(lowered) is not None
