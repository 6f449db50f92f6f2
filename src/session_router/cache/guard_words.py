"""Words that guards look for, in some languages written in Latin and Cyrillic letters."""

from __future__ import annotations

from typing import Final


def _numbered(*rows: str, start: int = 0, tens: bool = False) -> dict[str, str]:
    """Return each word with its place in its row; "-" stands for a word that is not known, or means something else."""
    zero = "0" if tens else ""
    return {word: f"{value}{zero}" for row in rows for value, word in enumerate(row.split(), start) if word != "-"}


def _grouped(*rows: str) -> dict[str, str]:
    """Return each word with the first of its row."""
    return {word: row.split()[0] for row in rows for word in row.split()}


NUMBERS: Final = {
    **_numbered(
        "zero - two three four five six seven eight nine ten eleven twelve "
        "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn",
        "zéro - deux trois quatre cinq - sept huit neuf dix onze douze treize quatorze quinze",
        "cero - dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince",
        "- - due tre quattro cinque - sette otto nove dieci undici dodici",
        "- - dois três quatro - - sete oito nove dez onze doze",
        "- één twee drie vier vijf zes zeven acht negen tien elf twaalf",
        "ноль один два три четыре пять шесть семь восемь девять десять",
    ),
    **_numbered("twenty thirty forty fifty sixty seventy eighty ninety hundred", start=2, tens=True),
    **dict.fromkeys(("thousand", "tausend", "mille", "mil", "тысяча"), "1000"),
    **dict.fromkeys(("million", "millionen", "millones"), "1000000"),
    **dict.fromkeys(("billion", "milliarden"), "1000000000"),
    **{word: word for word in ("hundert", "dozen", "half", "double", "twice", "once", "triple", "quarter")},
}
ORDINALS: Final = _numbered(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth",
    "erste zweite dritte vierte fünfte sechste siebte achte neunte zehnte",
    "premier deuxième troisième quatrième cinquième sixième",
    "primero segundo tercero cuarto quinto sexto",
    "primo secondo terzo quarto quinto sesto",
    "première seconde - - -",
    "primera segunda tercera cuarta quinta sexta",
    start=1,
)
DATES: Final = _grouped(
    "january jan januar janvier enero gennaio janeiro januari января январь",
    "february feb februar février febrero febbraio fevereiro februari февраля февраль",
    "march märz mars marzo março maart марта март",
    "april apr avril abril aprile апреля апрель",
    "may mai mayo maggio maio mei мая май",
    "june jun juni juin junio giugno junho июня июнь",
    "july jul juli juillet julio luglio julho июля июль",
    "august aug août agosto augustus августа август",
    "september sep sept septembre septiembre settembre setembro сентября сентябрь",
    "october oct oktober octobre octubre ottobre outubro октября октябрь",
    "november nov novembre noviembre novembro ноября ноябрь",
    "december dec dezember décembre diciembre dicembre dezembro декабря декабрь",
    "monday mondays mon montag lundi lunes lunedì maandag понедельник",
    "tuesday tuesdays tue dienstag mardi martes martedì dinsdag вторник",
    "wednesday wednesdays wed mittwoch mercredi miércoles mercoledì woensdag среда среду",
    "thursday thursdays thu donnerstag jeudi jueves giovedì donderdag четверг",
    "friday fridays fri freitag vendredi viernes venerdì vrijdag пятница пятницу",
    "saturday saturdays samstag sonnabend samedi sábado sabato zaterdag суббота субботу",
    "sunday sundays sonntag dimanche domingo domenica zondag воскресенье",
    "today tonight heute aujourd'hui hoy oggi hoje vandaag сегодня",
    "tomorrow demain mañana domani amanhã завтра",
    "yesterday gestern hier ayer ieri ontem gisteren вчера",
    "now currently jetzt maintenant ahora adesso agora сейчас",
    "morning mornings morgens matin breakfast",
    "noon midday lunch mittags midi",
    "afternoon nachmittag tarde pomeriggio",
    "evening evenings abend soir dinner",
    "night nights midnight nachts nuit noche notte",
    "spring frühling printemps primavera",
    "summer sommer été verano estate",
    "autumn herbst automne otoño autunno",
    "winter invierno inverno hiver",
    "daily täglich quotidien diario",
    "weekly wöchentlich hebdomadaire semanal",
    "monthly monatlich mensuel mensual",
    "yearly annual annually jährlich annuel anual",
    "hourly stündlich",
    "weekend weekends wochenende",
    "weekday weekdays",
    "next nächste nächsten nächster nächstes prochain prochaine próximo próxima prossimo",
    "last letzte letzten letzter letztes dernier dernière último última ultimo",
    "previous previously vorherige précédent anterior",
    "christmas weihnachten noël navidad",
    "easter ostern pâques",
)
UNITS: Final = {
    **_grouped(
        "$ usd dollar dollars",
        "€ eur euro euros",
        "£ gbp sterling",
        "¥ jpy yen",
        "cny yuan rmb renminbi",
        "₹ inr rupee rupees",
        "chf francs franc franken",
        "₽ rubles ruble rub",
        "₿ bitcoin btc",
        "cent cents",
        "% percent percentage prozent pourcent",
        "‰ permille",
        "° degree degrees grad",
        "celsius centigrade",
        "fahrenheit",
        "kelvin",
        "km kilometer kilometers kilometre kilometres kilomètres kilómetros",
        "mile miles mi meilen",
        "meter meters metre metres mètres metros",
        "cm centimeter centimeters centimetre centimetres",
        "mm millimeter millimeters millimetre millimetres",
        "inch inches zoll",
        "foot feet ft",
        "yard yards yd",
        "kg kilogram kilograms kilo kilos kilogramm",
        "gram grams gramm grammes",
        "mg milligram milligrams",
        "lb lbs pound pounds",
        "ounce ounces oz",
        "ton tons",
        "tonne tonnes",
        "liter liters litre litres",
        "ml milliliter milliliters millilitre millilitres",
        "gallon gallons gal",
        "pint pints",
        "cup cups",
        "tablespoon tablespoons tbsp",
        "teaspoon teaspoons tsp",
        "second seconds sec secs",
        "minute minutes min mins minuten",
        "hour hours hr hrs stunde stunden heure heures hora horas ore ora",
        "day days tag tage jour jours día días giorno giorni dia dias",
        "week weeks woche wochen semaine semaines semana semanas settimana settimane",
        "month months monat monate mois mes meses mese mesi",
        "year years jahr jahre an ans année années año años anno anni ano anos",
        "decade decades",
        "century centuries",
        "bit bits",
        "byte bytes",
        "kb kilobyte kilobytes",
        "mb megabyte megabytes",
        "gb gigabyte gigabytes",
        "tb terabyte terabytes",
        "kib",
        "mib",
        "gib",
        "watt watts",
        "kw kilowatt kilowatts",
        "kwh",
        "megawatt megawatts",
        "milliwatt milliwatts",
        "volt volts",
        "amp amps ampere amperes",
        "hertz hz",
        "joule joules",
        "calorie calories kcal",
        "kph kmh",
        "mph",
        "knot knots",
        "acre acres",
        "hectare hectares",
        "bar bars",
        "psi",
        "pascal pascals",
        "°c",
        "°f",
    ),
}
LONGEST_UNIT: Final = 3
NEGATIONS: Final = frozenset(
    """
    not no never without none nobody nothing neither nor nowhere hardly barely avoid avoiding avoided prevent prevents preventing stop stops
    stopping stopped refuse refused refuses unable impossible lack lacks lacking fail fails failed failing cannot except minus
    nicht kein keine keinen keiner keinem keines nie niemals ohne nichts niemand
    pas jamais sans rien aucun aucune
    nunca jamás sin nada nadie ningún ninguno ninguna tampoco
    non mai senza nessun nessuno nessuna niente
    não sem ninguém nenhum nenhuma
    niet geen nooit zonder niets
    nie nigdy bez nic nikt
    не нет без ни никогда нельзя ничего никто
    """.split()  # noqa: SIM905 -- words are easier to read so
)
"""An even number of them is none. French "ne" goes with another and does not count."""

LIMITS: Final = _grouped(
    "only solely exclusively just nur seulement uniquement solo solamente soltanto apenas alleen только",
    "except excluding außer sauf excepto eccetto exceto behalve кроме",
    "unless",
    "instead rather statt anstatt",
    "still",
    "again",
    "all every each alle jeder jede jedes tous toutes todos todas tutti tutte все",
    "both beide deux-les ambos entrambi",
    "already bereits déjà",
    "yet",
)
PERSONS: Final = _grouped(
    "my mine mein meine meinen", "your yours dein deine ihr ihre", "his", "her hers", "their theirs", "our ours unser unsere"
)
ASKING: Final = {
    **dict.fromkeys(("who", "whom", "whose", "wer", "wen", "wem", "qui", "quién", "quiénes", "chi", "quem", "wie-is", "кто"), "who"),
    **dict.fromkeys(("when", "wann", "quand", "cuándo", "wanneer", "когда"), "when"),
    **dict.fromkeys(("where", "wo", "wohin", "woher", "où", "dónde", "dove", "onde", "waar", "где", "куда"), "where"),
    **dict.fromkeys(("why", "warum", "wieso", "weshalb", "pourquoi", "waarom", "почему", "зачем"), "why"),
    **dict.fromkeys(
        ("combien", "cuánto", "cuánta", "cuántos", "cuántas", "quanto", "wieviel", "wieviele", "hoeveel", "сколько"), "how many"
    ),
    "how": "how",
}
HOW: Final = {
    "much": "how many",
    "many": "how many",
    "long": "how long",
    "often": "how often",
    "far": "how far",
    "old": "how old",
    "big": "how big",
    "tall": "how big",
    "large": "how big",
    "fast": "how fast",
    "soon": "when",
    "come": "why",
}
PREPOSITIONS: Final = frozenset(
    """
    from to into onto by than before after over under with without for against until since in on at of about through during via
    von nach zu aus mit ohne für gegen bis vor in auf durch als
    de à vers par avant après avec sans pour contre
    desde hasta hacia por para con sin contra antes después
    da a di per con prima dopo
    из в от до с к на
    van naar door met
    """.split()  # noqa: SIM905, RUF001 -- words are easier to read so; Russian has a letter like "c"
)
DIRECTIONS: Final = frozenset(
    """
    from to into onto by than before after over under with without against until since
    von nach zu aus ohne gegen bis vor als
    de à vers par avant après sans contre
    desde hasta hacia por sin a
    da
    из в от до с к на
    van naar door
    """.split()  # noqa: SIM905, RUF001 -- as above
)
"""Of two that stand before one word, one in each text, both must be the same."""

JOINING: Final = frozenset({"and", "or", "und", "oder", "et", "ou", "y", "o", "e", "и", "или", "en", "of"} - {"of", "en"})
PLAIN_MARKS: Final = frozenset(".,;:!?'-()[]\u2026\u2019\u2013\u2014\u00bf\u00a1\"\u201c\u201d\u201e\u00ab\u00bb`")
"""Quotation marks count with what stands between them."""

SENTENCE_ENDS: Final = frozenset({".", "!", "?", ":"})

ALIKE: Final = 0.6
"""Texts that share this part of what they say are held to one order."""
