"""Pairs of questions that are much alike and have different answers, by what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass

# One pair a line, its texts on either side of " / ".
_PAIRS = {
    "antonyms": """
How do I enable two-factor login? / How do I disable two-factor login?
How can I increase my credit limit? / How can I decrease my credit limit?
How do I open a savings account? / How do I close a savings account?
Where can I buy used books? / Where can I sell used books?
How do I lock my bike? / How do I unlock my bike?
How do I install the driver? / How do I uninstall the driver?
How do I add a user to the group? / How do I remove a user from the group?
What is the highest mountain in Peru? / What is the lowest mountain in Peru?
Which phone has the best battery? / Which phone has the worst battery?
How do I mute a channel? / How do I unmute a channel?
How do I encrypt a disk? / How do I decrypt a disk?
How do I import contacts? / How do I export contacts?
How do I upload a file? / How do I download a file?
How do I accept an invitation? / How do I decline an invitation?
Why is my plant growing? / Why is my plant shrinking?
How to gain weight safely / How to lose weight safely
What are the symptoms of high blood sugar? / What are the symptoms of low blood sugar?
Should I wash it in hot water? / Should I wash it in cold water?
How do I start the engine? / How do I stop the engine?
How do I follow a topic? / How do I unfollow a topic?
What to do before a surgery / What to do after a surgery
Is it legal to record a call? / Is it illegal to record a call?
How do I attach a volume? / How do I detach a volume?
How do I subscribe to the newsletter? / How do I unsubscribe from the newsletter?
What is the maximum stay? / What is the minimum stay?
How do I turn on airplane mode? / How do I turn off airplane mode?
Wie kann ich die Benachrichtigungen aktivieren? / Wie kann ich die Benachrichtigungen deaktivieren?
Wie kann ich den Vertrag annehmen? / Wie kann ich den Vertrag ablehnen?
Wie kann ich die Karte sperren? / Wie kann ich die Karte entsperren?
Comment activer le mode sombre ? / Comment désactiver le mode sombre ?
Comment augmenter le volume ? / Comment diminuer le volume ?
Comment ajouter un contact ? / Comment supprimer un contact ?
¿Cómo puedo abrir una cuenta? / ¿Cómo puedo cerrar una cuenta?
¿Cómo activar la tarjeta? / ¿Cómo desactivar la tarjeta?
Come posso attivare le notifiche? / Come posso disattivare le notifiche?
Как включить уведомления? / Как отключить уведомления?
Hoe kan ik mijn limiet verhogen? / Hoe kan ik mijn limiet verlagen?
""",
    "negation": """
Delete the old backups / Do not delete the old backups
Which foods contain gluten? / Which foods do not contain gluten?
Is it safe to mix them? / Is it not safe to mix them?
Show me hotels with a pool / Show me hotels without a pool
Why should I update? / Why shouldn't I update?
What can a dog eat? / What can a dog not eat?
Who can apply? / Who can't apply?
You must restart the server / You must never restart the server
List everything with a warranty / List everything with no warranty
Is there a way to cancel? / Is there no way to cancel?
I have received the parcel / I haven't received the parcel
Can I travel with a visa? / Can I travel without a visa?
Which of them did reply? / Which of them didn't reply?
Why does my code work? / Why doesn't my code work?
He said it would rain / He never said it would rain
All of them agree / None of them agree
Kann ich die Karte benutzen? / Kann ich die Karte nicht benutzen?
Gibt es eine Gebühr? / Gibt es keine Gebühr?
Ist das mit Zucker? / Ist das ohne Zucker?
Puis-je annuler la commande ? / Ne puis-je pas annuler la commande ?
C'est un café avec sucre / C'est un café sans sucre
¿Puedo viajar con perro? / ¿Puedo viajar sin perro?
Este plan incluye llamadas / Este plan no incluye llamadas
Posso entrare con il cane? / Posso entrare senza il cane?
Este plano inclui chamadas / Este plano não inclui chamadas
Я получил посылку / Я не получил посылку
Mag ik hier roken? / Mag ik hier niet roken?
我可以取消吗 / 我不可以取消吗
""",
    "numbers": """
Convert 5 dollars to euros / Convert 6 dollars to euros
What is 12 percent of 80? / What is 12 percent of 90?
Plan a trip for 2 adults / Plan a trip for 3 adults
Plan a trip for two adults / Plan a trip for three adults
Who won the election in 2016? / Who won the election in 2020?
How do I upgrade to Python 3.11? / How do I upgrade to Python 3.12?
What is 7 times 8? / What is 7 times 9?
Is 17 a prime number? / Is 18 a prime number?
What is the square root of 144? / What is the square root of 1444?
Who was the 16th president? / Who was the 17th president?
Who was the first man on the moon? / Who was the second man on the moon?
Set a timer for 10 minutes / Set a timer for 100 minutes
Summarise chapter 3 / Summarise chapter 4
What is 3 - 5? / What is 5 - 3?
Round 2.45 to one place / Round 24.5 to one place
Can I take 400 mg twice a day? / Can I take 400 mg once a day?
What is 2⁵? / What is 25?
What is ½ of the price? / What is 12 of the price?
What is 5! / What is 5
What is 5!? / What is 5?
What is (2+3)! / What is (2+3)?
Wie viel ist 5 !? / Wie viel ist 5?
Explain error 404 / Explain error 403
What is H₂O? / What is H2O2?
Was ist 15 Prozent von 60? / Was ist 20 Prozent von 60?
Ein Tisch für zwei Personen / Ein Tisch für vier Personen
Une table pour deux personnes / Une table pour trois personnes
Una mesa para cuatro personas / Una mesa para cinco personas
Сколько будет 5 плюс 7? / Сколько будет 5 плюс 8?
把 5 美元换成欧元 / 把 6 美元换成欧元
""",
    "dates": """
Is the bank open on Monday? / Is the bank open on Tuesday?
What happened on 4 May 1970? / What happened on 5 May 1970?
Book a room for 12 June / Book a room for 12 July
What are the opening hours in summer? / What are the opening hours in winter?
Does the train run in the morning? / Does the train run in the evening?
What is the weekly fee? / What is the monthly fee?
When is the next meeting? / When was the last meeting?
Which holidays are in April? / Which holidays are in August?
What did she say yesterday? / What did she say today?
Is breakfast served at weekends? / Is breakfast served on weekdays?
Is it 03/04/2021? / Is it 04/03/2021?
Ist am Montag geöffnet? / Ist am Sonntag geöffnet?
Was kostet ein Zimmer im Januar? / Was kostet ein Zimmer im Juli?
Le musée est ouvert le mardi ? / Le musée est ouvert le mercredi ?
¿Está abierto el lunes? / ¿Está abierto el domingo?
Открыт ли музей в понедельник? / Открыт ли музей в среду?
""",
    "units": """
How many calories are in 100 grams? / How many calories are in 100 ounces?
Convert 30 Celsius to Kelvin / Convert 30 Fahrenheit to Kelvin
How far is 10 km? / How far is 10 miles?
Is 5 Mb enough? / Is 5 MB enough?
How strong is 1 mW? / How strong is 1 MW?
What does it cost in dollars? / What does it cost in euros?
How much is £20? / How much is €20?
How much is $20? / How much is ¥20?
Is 3 kg too heavy? / Is 3 lb too heavy?
How long is 90 minutes? / How long is 90 seconds?
Can I lift 20 kilograms? / Can I lift 20 tons?
What is 6 feet? / What is 6 inches?
How much memory is 16 GB? / How much memory is 16 TB?
Add 2 teaspoons of salt / Add 2 tablespoons of salt
Is 120 km/h fast? / Is 120 mph fast?
Wie viel sind 5 Liter? / Wie viel sind 5 Gramm?
Combien font 5 dollars ? / Combien font 5 euros ?
""",
    "order": """
flights from Denver to Boston / flights from Boston to Denver
Does stress cause insomnia? / Does insomnia cause stress?
Is tea healthier than coffee? / Is coffee healthier than tea?
How do I convert text to speech? / How do I convert speech to text?
Translate this from German to English / Translate this from English to German
Did the dog bite the man? / Did the man bite the dog?
How do I move files from Windows to Linux? / How do I move files from Linux to Windows?
Is a cat smaller than a rabbit? / Is a rabbit smaller than a cat?
Who did Anna marry after Peter? / Who did Peter marry after Anna?
Can a lawyer sue a doctor? / Can a doctor sue a lawyer?
What did Rome take from Carthage? / What did Carthage take from Rome?
Does the server call the client? / Does the client call the server?
trains from Leeds to York / trains to Leeds from York
Why do cats hate dogs? / Why do dogs hate cats?
Does the earth orbit the moon? / Does the moon orbit the earth?
Wie komme ich von Bonn nach Köln? / Wie komme ich von Köln nach Bonn?
Beißt der Hund den Mann? / Den Hund beißt der Mann?
Un train de Lyon à Paris / Un train de Paris à Lyon
Vuelos de Madrid a Lima / Vuelos de Lima a Madrid
Treni da Roma a Milano / Treni da Milano a Roma
Билеты из Москвы в Казань / Билеты из Казани в Москву
从北京到上海的火车 / 从上海到北京的火车
東京から大阪まで / 大阪から東京まで
""",
    "names": """
What is the capital of Austria? / What is the capital of Australia?
Who founded Apple? / Who founded Oracle?
How tall is Alice? / How tall is Bob?
Tell me about the planet Mars / Tell me about the planet Venus
What is the population of Niger? / What is the population of Nigeria?
Where is the US embassy? / Where is us embassy?
How do I log in to Gmail? / How do I log in to Outlook?
What does WHO recommend? / What does who recommend?
Is IT a good field? / Is it a good field?
When did Charles Dickens die? / When did Charles Darwin die?
Which language is spoken in Iran? / Which language is spoken in Iraq?
What is the currency of Sweden? / What is the currency of Switzerland?
Is Sydney bigger than Melbourne? / Is Sydney bigger than Brisbane?
Hotels in Paris / Hotels in London
Wer hat Hamlet geschrieben? / Wer hat Faust geschrieben?
Wie groß ist Berlin? / Wie groß ist Bern?
Quelle est la capitale du Niger ? / Quelle est la capitale du Nigeria ?
¿Cuál es la capital de Austria? / ¿Cuál es la capital de Australia?
Qual è la capitale del Cile? / Qual è la capitale della Cina?
フランスの首都は / ドイツの首都は
""",
    "question": """
Who painted it? / When did they paint it?
When was the bridge built? / Why was the bridge built?
How much is the ticket? / How long is the ticket valid?
How many people live there? / How long do people live there?
Where is the meeting? / When is the meeting?
How old is the tree? / How tall is the tree?
How often do they meet? / How long do they meet?
Who invented the telephone? / Why was the telephone invented?
Wer hat angerufen? / Wann hat er angerufen?
Quand part le train ? / Où part le train ?
¿Cuándo sale el tren? / ¿Dónde sale el tren?
""",
    "words that matter": """
What is the matter? / What is matter?
What is the time? / What is time?
Who is in charge of it? / Who is in the charge of it?
How do you say please in French? / How do you say in French?
Let's eat, grandma / Let's eat grandma
I may go home? / I may go home.
What does few mean? / What does a few mean?
Is this the one? / Is this one?
How do I fire someone kindly? / How do I fire someone?
Who is hard to please? / Who is hard to?
What is C? / What is C++?
What is C#? / What is C?
How do I win a game? / How do I win at a game?
Is Bob a winner? / Is Bob the winner?
Can I take all of it? / Can I take only some of it?
Is vitamin A good for eyes? / Is vitamin good for eyes?
What is my name? / What is your name?
Write hello world in Go / Write world in Go
Can I eat it? / Must I eat it?
How do I stop a service? / How do I stop stopping a service?
What are the rules for both players? / What are the rules for players?
Was heißt bitte auf Englisch? / Was heißt auf Englisch?
La tour est haute / Le tour est haut
¿Cuántos años tienes? / ¿Cuántos anos tienes?
Wie viel sind 10 Maße? / Wie viel sind 10 Masse?
Est-ce que tu viens jeudi seulement ? / Est-ce que tu viens jeudi ?
Er umfährt das Schild / Er umfährt das Kind
""",
    "code": """
What does rm -r do? / What does rm -R5 do?
Explain `x = 1` / Explain `x == 1`
What is in /etc/hosts? / What is in /etc/host.conf?
Explain a&&b / Explain a||b
What does ls . do / What does ls .. do
Print "Hello" / Print "hello"
Open ticket AB-1234 / Open ticket AB-1243
Fix the bug in userName / Fix the bug in username
Status of order 7f3a9c / Status of order 7f3a9d
Write to ann@example.org / Write to anne@example.org
Read https://example.org/a / Read https://example.org/b
Explain x < y / Explain x > y
Explain a[0] / Explain a[1]
Replace ' ' with '  ' / Replace '  ' with ' '
Explain chmod 755 a.sh / Explain chmod 644 a.sh
What does a += 1 do? / What does a -= 1 do?
Explain git push -f / Explain git push
""",
    "one word exchanged": """
How do I cancel my flight? / How do I cancel my hotel?
Can I pay by card? / Can I pay by cheque?
Is red wine good for you? / Is white wine good for you?
How do I repair a leaking tap? / How do I repair a leaking roof?
How do I cook brown rice? / How do I cook wild rice?
What do bees eat? / What do wasps eat?
How do I learn the piano? / How do I learn the violin?
What are the side effects of aspirin? / What are the side effects of ibuprofen?
My brother lost his passport / My brother lost his wallet
How deep is the lake? / How deep is the sea?
Wie wasche ich Wolle? / Wie wasche ich Seide?
Comment cuire le riz ? / Comment cuire le poisson ?
¿Cómo se limpia el cuero? / ¿Cómo se limpia la madera?
Как приготовить рис? / Как приготовить рыбу?
""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """Two questions with different answers.

    Attributes:
        kind: What tells them apart.
        one: A question.
        other: Another.
    """

    kind: str
    one: str
    other: str


TRAPS = tuple(
    Trap(kind=kind, one=one, other=other)
    for kind, lines in _PAIRS.items()
    for one, other in (line.split(" / ") for line in lines.strip().splitlines())
)

SAME = (
    ("How do I reset my password?", "how do i reset my password"),
    ("HOW DO I RESET MY PASSWORD", "How  do I reset my password ?"),
    ("What’s the capital of Peru?", "what's the capital of Peru"),  # noqa: RUF001 -- as keyboards write it
    ("¿Dónde está la estación?", "dónde está la estación"),
    ("Wie groß ist der Mond?", "wie groß ist der mond"),
    ("Ｗｈａｔ is ﬁne dining?", "what is fine dining"),  # noqa: RUF001 -- wide letters and a ligature
    ("Où est la gare ?", "où est la gare?"),
    ("日本の首都は？", "日本の首都は?"),  # noqa: RUF001 -- a wide question mark
    ("Hello, world.", "hello, world"),
    ("Where is Bob's car?", "where is bob's car"),
)
"""Texts that are the same after canonicalisation."""

SAME_CONTENT = (
    ("Can you tell me what the boiling point of water is?", "what the boiling point of water is"),
    ("What's the capital of Peru?", "Could you tell me what is the capital of Peru?"),
    ("Please explain photosynthesis.", "explain photosynthesis"),
    ("Hi, how do I bake bread? Thanks!", "How do I bake bread"),
    ("I can't log in", "I cannot log in"),
    ("Why doesn't it start?", "Why does not it start?"),
    ("Bitte erkläre die Ampel", "erkläre die Ampel"),
    ("Explique la photosynthèse, s'il vous plaît", "explique la photosynthèse"),
)
"""Texts that say the same in other manners."""
