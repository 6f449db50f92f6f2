"""Questions whose answer is true only when they are asked: they are neither stored nor served."""

# ruff: noqa: SIM905 -- words are easier to read without quotation marks

from __future__ import annotations

import re
from typing import Final

READ_CHARACTERS: Final = 65_536
"""Of a longer text only the beginning is searched, and it is taken to ask for now: bounded work for any input."""

_UNIT = r"(?:second|minute|hour|day|week|month|quarter|year|season|morning|afternoon|evening|night|weekend)s?"
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"

_KINDS: Final = {
    "it names a day that moves": (
        r"today(?:'s)?|tonight(?:'s)?|tomorrow(?:'s)?|yesterday(?:'s)?|"
        rf"(?:this|next|last|past|coming|previous) (?:\w+ )?(?:{_UNIT}|{_WEEKDAY})|(?:last|past|next) \w+ {_UNIT}|"
        rf"ago|in \d+ {_UNIT}|(?:on|by|until|before|after) {_WEEKDAY}|"
        r"heute|heutige[nmrs]?|gestern|gestrige[nmrs]?|übermorgen|vorgestern|"
        r"(?:diese[rsnm]?|nächste[rsnm]?|letzte[rsnm]?) "
        r"(?:woche|monat|monats|jahr|jahres|tag|tage|wochenende|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag)|"
        r"(?:bis|am|wetter) morgen|morgen (?:früh|abend|mittag|nachmittag)|"
        r"aujourd'hui|demain|hier|(?:cette|la) (?:semaine|année)(?: prochaine| dernière)?|ce (?:mois|soir|matin|week-end)|"
        r"hoy|mañana|ayer|anoche|esta (?:semana|noche|tarde)|este (?:mes|año)|(?:semana|mes|año) (?:que viene|pasad[oa]|próxim[oa])|"
        r"oggi|domani|ieri|stasera|questa settimana|questo mese|quest'anno|hoje|amanhã|ontem|esta semana|este mês|"
        r"vandaag|gisteren|vanavond|deze week|dit jaar|dzisiaj|dziś|jutro|wczoraj|bugün|yarın|dün|"  # noqa: RUF001 -- Turkish has this letter
        r"сегодня|завтра|вчера|на этой неделе|в этом (?:году|месяце)"
    ),
    "it asks for now": (
        r"now|nowadays|right now|currently|current|at the moment|at present|presently|these days|as of|so far|up(?:-| )to(?:-| )date|"
        r"what time is it|what(?:'s| is) the (?:time|date|day)|what (?:day|date|month|year) is it|"
        r"still (?:open|available|alive|valid|in stock)|"
        r"how (?:long|many \w+) (?:until|till|left)|in stock|open now|"
        r"jetzt|aktuell\w*|derzeit\w*|momentan|gegenwärtig|zurzeit|wie spät|wie viel uhr|"
        r"maintenant|actuel\w*|en ce moment|quelle heure|ahora|actual(?:es|mente)?|en este momento|qué hora|"
        r"adesso|attual\w*|in questo momento|che ore|agora|atual\w*|neste momento|que horas|nu|momenteel|hoe laat|teraz|obecnie|aktualn\w*|"
        r"şimdi|şu an|сейчас|текущ\w*|который час"
    ),
    "it asks for the latest": (
        r"latest|newest|most recent|recent|recently|lately|upcoming|breaking|news|headlines?|"
        r"live (?:score|stream|update)s?|trending|"
        r"neueste[nmrs]?|neulich|kürzlich|nachrichten|letzte[nr]? stand|"
        r"dernièr(?:e|es) (?:nouvelles|version|infos)|récent\w*|actualités|"
        r"últim[oa]s (?:noticias|notícias)|última versión|reciente\w*|noticias|"
        r"ultime notizie|recente|recentemente|notizie|notícias|nieuws|laatste nieuws|"
        r"aktualności|последн\w+|новост\w+|недавн\w+|son dakika|haber"
    ),
    "it asks for what changes by the hour": (
        r"weather|forecast|temperature (?:in|at|outside)|"
        r"raining|stock price|share price|exchange rate|"
        r"price of (?:bitcoin|gold|oil)|traffic|score of|"
        r"wetter|wettervorhersage|aktienkurs|wechselkurs|météo|cours de (?:l'action|change)|el tiempo en|clima|previsioni|"
        r"pogoda|hava durumu|погод\w*|курс (?:доллара|евро|валют)"
    ),
}
# For texts in small letters: patterns that look at no capitals are five times as fast as those that ignore them.
_PATTERNS: Final = {reason: re.compile(rf"(?<!\w)(?:{words})(?!\w)") for reason, words in _KINDS.items()}


def _alternatives(words: str) -> list[str]:
    """Return what stands between the bars of a pattern, outside all brackets."""
    found: list[str] = []
    depth = begin = 0
    for place, character in enumerate(words):
        depth += (character == "(") - (character == ")")
        if character == "|" and not depth:
            found.append(words[begin:place])
            begin = place + 1
    return [*found, words[begin:]]


def _by_first_letter(words: str) -> str:
    """Return a pattern for the same texts that tries, at each word, only what begins with its first letter: three times as fast.

    Raises:
        ValueError: Something does not begin with a letter that must be there.
    """
    rests: dict[str, list[str]] = {}
    waiting = _alternatives(words)
    while waiting:
        one = waiting.pop()
        group = re.match(r"\(\?:([^()]*)\)(?![?*+{])", one)
        if group is not None:
            waiting += [inner + one[group.end() :] for inner in _alternatives(group[1])]
        elif one[:1].isalpha() and one[1:2] not in {"?", "*", "+", "{"}:
            rests.setdefault(one[0], []).append(one[1:])
        else:
            raise ValueError(one)
    by_letter = "|".join([f"{letter}(?:{'|'.join(rest)})" for letter, rest in rests.items()])
    return rf"(?<!\w)(?=[{''.join(rests)}])(?:{by_letter})(?!\w)"


_ANY: Final = re.compile(_by_first_letter("|".join(_KINDS.values())))


def _written_out(words: str) -> list[str]:
    """Return a pattern as several without groups, that match the same between them.

    Raises:
        ValueError: A group may come more than once.
    """
    found: list[str] = []
    for one in _alternatives(words):
        begin = one.find("(?:")
        if begin < 0:
            found.append(one)
            continue
        end = next(place for place in range(begin + 1, len(one)) if one[begin:place].count("(") == one[begin : place + 1].count(")"))
        may_lack = one[end + 1 : end + 2] == "?"
        if one[end + 1 : end + 2] in {"*", "+", "{"}:
            raise ValueError(one)
        inner = [*_alternatives(one[begin + 3 : end]), *([""] if may_lack else [])]
        found += [more for part in inner for more in _written_out(one[:begin] + part + one[end + 1 + may_lack :])]
    return found


def _longest_word(words: str) -> str:
    return max([word for word in words.split(" ") if word[0].isalpha()], key=len)


_TELLING_WORDS: Final = sorted(set(map(_longest_word, _written_out("|".join(_KINDS.values())))))
_TELLING: Final = re.compile(rf"(?<!\w)(?:{'|'.join(_TELLING_WORDS)})(?!\w)")


def may_be_about_time(word: str) -> bool:
    """Whether `word`, in small letters, may be part of a text that is time-relative. Each such text in ASCII has such a word."""
    return _TELLING.search(word) is not None


# Written without blanks, or with endings on the word.
_UNSPACED: Final = {
    "it names a day that moves": tuple(
        "今天 明天 昨天 今日 明日 昨日 今晚 今夜 今年 去年 明年 本周 这周 這週 上周 下周 本月 今週 来週 先週 今月 来月 来年 "
        "오늘 내일 어제 이번 지난 اليوم غدا أمس आज कल วันนี้ พรุ่งนี้ היום מחר".split()
    ),
    "it asks for now": tuple("现在 現在 目前 当前 當前 此刻 几点 幾點 今の 何時 지금 현재 الآن حاليا अभी ตอนนี้ עכשיו".split()),
    "it asks for the latest": tuple("最新 最近 新闻 新聞 ニュース 최신 최근 뉴스 أخبار أحدث ताज़ा समाचार ล่าสุด חדשות".split()),
    "it asks for what changes by the hour": tuple("天气 天氣 股价 股價 汇率 匯率 天気 株価 날씨 주가 환율 الطقس मौसम อากาศ".split()),
}


def time_relative(question: str) -> str | None:
    """Return why a stored answer to `question` would not stay true, or `None` when nothing says so.

    By words of several languages, without understanding: "the current through a resistor" is refused too. What slips through ends
    with the time to live of its category.
    """
    if len(question) > READ_CHARACTERS:
        return "it is too long to look through"
    text = question.replace("\u2019", "'").lower()
    unspaced = not text.isascii()
    if not unspaced and _ANY.search(text) is None:
        return None
    for reason, pattern in _PATTERNS.items():
        if pattern.search(text) is not None or (unspaced and any(map(text.__contains__, _UNSPACED[reason]))):
            return reason
    return None
