"""Words that turn a question into another one."""

from __future__ import annotations

from functools import cache
from typing import Final

from session_router.cache.remembering import remembered

# Between two bars: the first word against each of the others.
_GROUPS = (
    # English
    """
    accept reject decline refuse deny | approve reject decline deny | allow block forbid prohibit deny ban prevent |
    permit forbid prohibit | grant revoke deny | activate deactivate | add remove delete subtract | admit deny | advance retreat |
    agree disagree | alive dead | always never sometimes | ancient modern | appear disappear vanish | arrive depart leave |
    arrival departure | ascend descend | ascending descending | asleep awake | assemble disassemble | attach detach | attack defend |
    attacker defender | begin end finish stop | before after | behind front | below above | beneath above | best worst | better worse |
    big small little | birth death | bitter sweet | black white | block unblock | borrow lend | bottom top | bought sold | boy girl |
    bride groom | bright dark dim | broad narrow | brother sister | build destroy demolish | buy sell | buyer seller | buying selling |
    calm nervous | cause prevent cure | charge discharge refund | cheap expensive | cheaper dearer | cheapest dearest | clean dirty |
    clockwise counterclockwise anticlockwise | close open | closed open | cold hot warm | colder hotter warmer | combine separate split |
    come go | compress decompress | connect disconnect | construct destroy | cooked raw | cool warm | create destroy delete | credit debit
    | cruel kind | cry laugh | dad mom mum | dangerous safe | dark light | daughter son | day night | decode encode |
    decrease increase raise | deep shallow | deposit withdraw | deposited withdrawn | depositing withdrawing | difficult easy |
    domestic international foreign | double halve | down up | downgrade upgrade | download upload | downstairs upstairs | drop raise lift
    | drunk sober | dry wet | early late | earlier later | earliest latest | east west | easy hard | easier harder | eastern western |
    employer employee | employ fire dismiss | empty full | enable disable | enabled disabled | encrypt decrypt | encryption decryption |
    end start | enemy friend | enter exit leave | entrance exit | even odd | exclude include | excluding including |
    expand shrink contract collapse | expand reduce | export import | exporting importing | expose hide | external internal |
    extend shorten | fail pass succeed | failure success | fall rise | false true | fast slow | faster slower | fastest slowest |
    father mother | fat thin skinny | female male | fewer more | fewest most | few many | final initial | find lose | first last |
    fix break | float sink | follow lead unfollow | forget remember | former latter | forward backward reverse | forwards backwards |
    found lost | freeze melt thaw unfreeze | front back rear | gain lose | generous mean stingy | give take receive get | giver taker |
    global local | good bad poor | grandfather grandmother | grow shrink | guest host | guilty innocent | happy sad unhappy | hard soft |
    hate love like | heat cool | heavy light | heavier lighter | high low | higher lower | highest lowest | hill valley | hire fire |
    his her | horizontal vertical | husband wife | illegal legal | immigrate emigrate | incoming outgoing | increase reduce lower |
    increased decreased reduced | increasing decreasing | indoor outdoor | indoors outdoors | inferior superior | inhale exhale |
    inner outer | input output | inside outside | insert remove | install uninstall remove | join leave | junior senior | king queen |
    land takeoff | large small | larger smaller | largest smallest | lawful unlawful | least most | left right | less more | like dislike
    | liquid solid | local remote | lock unlock | locked unlocked | login logout | long short | longer shorter | longest shortest |
    loose tight | lose win | loser winner | loss profit gain | loud quiet | major minor | man woman | men women | master slave |
    maximum minimum | maximize minimize | maximise minimise | max min | merge split | mild severe | mount unmount | move stay |
    multiply divide | mute unmute | natural artificial | near far | negative positive | nephew niece | new old | newer older |
    newest oldest | north south | northern southern | off on | offer demand | offline online | old young | older younger | oldest youngest
    | only also | open shut | opened closed | optional mandatory required | order cancel | outbound inbound | over under |
    owner tenant renter | parent child | part whole | passed failed | past future present | pause resume | pay receive | payer payee |
    peace war | permanent temporary | physical virtual | plural singular | plus minus | poor rich | pre post | present absent |
    private public | producer consumer | prosecute defend | pull push | punish reward | question answer | quick slow | raise lower |
    read write | reader writer | receive send | received sent | receiver sender | receiving sending | rent own buy | repair break |
    retail wholesale | reveal hide conceal | right wrong | rise set | rough smooth | rural urban | same different | save spend delete |
    sender recipient | serial parallel | sharp blunt | shorten lengthen | show hide | sick healthy well | simple complex complicated |
    single married double multiple | smart stupid dumb | sour sweet | start stop finish | started stopped ended | starting stopping ending
    | stop continue | stranger friend | strong weak | stronger weaker | subscribe unsubscribe | sunrise sunset | supply demand |
    surplus deficit | synchronous asynchronous | tall short | taller shorter | tallest shortest | teach learn | teacher student |
    tenant landlord | thick thin | tiny huge | to from | uncle aunt | union intersection | under above | upper lower | upstream downstream
    | vacant occupied | valid invalid | victory defeat | visible invisible | wake sleep | weaken strengthen | wide narrow | widow widower
    | winter summer | with without | within outside | won lost | yes no | yesterday tomorrow today | in out | for against | ahead behind |
    much little | must may can | all none some any | every no | both neither | either neither | and or
    """
    "|"
    # German
    """
    ein aus | an aus | öffnen schließen | erhöhen senken verringern reduzieren | kaufen verkaufen | aktivieren deaktivieren |
    einschalten ausschalten | an ab | mit ohne | vor nach | größer kleiner | mehr weniger | gut schlecht | starten stoppen beenden |
    hinzufügen entfernen löschen | hochladen herunterladen | richtig falsch | von nach zu | sperren entsperren | annehmen ablehnen |
    vorher nachher | billig teuer | oben unten | groß klein | alt neu jung | innen außen | anmelden abmelden | einzahlen abheben |
    senden empfangen | ja nein | immer nie
    """
    "|"
    # French
    """
    activer désactiver | ouvrir fermer | augmenter diminuer réduire baisser | acheter vendre | ajouter supprimer retirer enlever |
    avec sans | avant après | plus moins | allumer éteindre | envoyer recevoir | commencer finir arrêter | bon mauvais | haut bas |
    vrai faux | meilleur pire | installer désinstaller | télécharger téléverser | accepter refuser | gagner perdre | monter descendre |
    grand petit | verrouiller déverrouiller | importer exporter | de à | nouveau ancien vieux | premier dernier | toujours jamais |
    connecter déconnecter
    """
    "|"
    # Spanish
    """
    activar desactivar | abrir cerrar | aumentar disminuir reducir bajar | comprar vender | añadir eliminar quitar borrar | con sin |
    antes después | más menos | encender apagar | enviar recibir | empezar terminar parar | bueno malo | verdadero falso | mejor peor |
    instalar desinstalar | subir bajar | aceptar rechazar | ganar perder | grande pequeño | bloquear desbloquear | importar exportar |
    de a | nuevo viejo | primero último | siempre nunca | conectar desconectar | mayor menor | alto bajo
    """
    "|"
    # Italian
    """
    attivare disattivare | aprire chiudere | aumentare diminuire ridurre | comprare vendere | aggiungere rimuovere eliminare | con senza |
    prima dopo | più meno | accendere spegnere | inviare ricevere | iniziare finire | migliore peggiore | installare disinstallare |
    accettare rifiutare | bloccare sbloccare | da a | sempre mai
    """
    "|"
    # Portuguese
    """
    ativar desativar | abrir fechar | adicionar remover excluir | ligar desligar | com sem | depois antes | mais menos | melhor pior |
    aceitar recusar | bloquear desbloquear
    """
    "|"
    # Russian
    """
    включить выключить отключить | включать выключать | открыть закрыть | увеличить уменьшить | купить продать | добавить удалить |
    до после | больше меньше | отправить получить | начать закончить | лучше хуже | принять отклонить | в из | от до | всегда никогда
    """
    "|"
    # Dutch
    """
    aan uit | openen sluiten | verhogen verlagen | kopen verkopen | met zonder | meer minder | voor na | van naar
    """
)

_BEGINNINGS: Final = (
    *(("", part) for part in ("un", "dis", "in", "im", "il", "ir", "non", "de", "anti", "mis", "ent", "dé", "dés", "des")),
    *(("en", "dis"), ("in", "de"), ("in", "ex"), ("im", "ex"), ("en", "de"), ("as", "de"), ("up", "down"), ("over", "under")),
    *(("pre", "post"), ("sub", "super"), ("macro", "micro"), ("hyper", "hypo"), ("inter", "intra"), ("pro", "anti"), ("in", "out")),
    *(
        ("maxi", "mini"),
        ("ein", "aus"),
        ("an", "ab"),
        ("auf", "zu"),
        ("be", "ent"),
        ("ein", "ab"),
        ("ver", "ent"),
        ("auf", "ab"),
        ("zu", "ab"),
    ),
    *(("vor", "nach"), ("hin", "her"), ("im", "em"), ("after", "before")),
)
"""What two words may begin with to be opposite, if the rest is the same."""

_ENDS: Final = (("ful", "less"), ("er", "ee"), ("or", "ee"), ("", "less"))
"""What they may end with."""

_LEAST_REST: Final = 3  # letters


@cache
def _table() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group in _GROUPS.split("|"):
        first, *others = group.split() or [""]
        for other in others:
            found.setdefault(first, set()).add(other)
            found.setdefault(other, set()).add(first)
    return {word: frozenset(others) for word, others in found.items()}


@remembered(65_536)
def are_opposite(one: str, other: str) -> bool:
    """Whether two words, in small letters, are opposites, by a list of some languages and by how they begin and end."""
    table = _table()
    first, second = _forms(one), _forms(other)
    return any(not second.isdisjoint(table.get(form, ())) for form in first) or any(
        _by_parts(a, b) for a in first for b in second if a[-_LEAST_REST:] == b[-_LEAST_REST:] or a[:_LEAST_REST] == b[:_LEAST_REST]
    )


def _by_parts(one: str, other: str) -> bool:
    return any(
        _rest(one, begins=first) == _rest(other, begins=second) != "" or _rest(other, begins=first) == _rest(one, begins=second) != ""
        for first, second in _BEGINNINGS
    ) or any(
        _rest(one, ends=first) == _rest(other, ends=second) != "" or _rest(other, ends=first) == _rest(one, ends=second) != ""
        for first, second in _ENDS
    )


def _rest(word: str, *, begins: str = "", ends: str = "") -> str:
    """Return `word` without its beginning and its end; nothing when it has them not, or too little is left."""
    rest = word[len(begins) : len(word) - len(ends)]
    return rest if len(rest) >= _LEAST_REST and word.startswith(begins) and word.endswith(ends) else ""


_ENDINGS: Final = (("ies", "y"), ("ied", "y"), ("ing", ""), ("ing", "e"), ("es", ""), ("ed", ""), ("d", ""), ("s", ""), ("ly", ""))


@remembered(8_192)
def _forms(word: str) -> frozenset[str]:
    """Return `word`, and what it may be a form of in English."""
    found = {word}
    for end, instead in _ENDINGS:
        if word.endswith(end) and len(word) - len(end) >= _LEAST_REST:
            stem = word[: len(word) - len(end)]
            found.add(stem + instead)
            if stem[-1] == stem[-2]:
                found.add(stem[:-1])  # "stopped" of "stop"
    return frozenset(found)
