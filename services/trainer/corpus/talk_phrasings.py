"""Small talk, questions beyond the shop, names that the shop does not know, and notes with prices, for training."""

from random import Random
from typing import Final

from services.trainer.corpus.catalogue import PRODUCTS, SHOP
from services.trainer.corpus.grammar import capital, invented_word, words

_HI: Final = "[hello|hi|hey|good morning|good evening|good day|hiya|hi hi|morning|evening|hello again|hallo]"

TALK: Final = {
    "hello": (
        (
            f"{_HI} [there|desk|dear help desk|shop|shop people|everyone|guys|team of the shop|support|all|folks|"
            f"team|dear desk|my friend|you|sir|madam||||]"
        ),
        f"{_HI} [|,] [dear|my|] [help desk|desk|store|Millbrook|shop|assistant|bot|robot|computer|team|people]",
        f"{_HI}, {_HI}",
        f"{_HI} [to you all|from me|and good day|again|once more]",
        f"[|{_HI}, ][anyone|anybody|somebody|someone|is anyone] [there|in|around|awake|home|listening]",
        f"{_HI}, [it is me|I am new here|I am back|here I am|nice to meet you]",
        "[are you|is the desk] [there|here|awake|online|listening]",
        "[a good|a nice] [morning|day] to [you|all]",
    ),
    "thanks": (
        "[thank you|thanks|thank you very much|thanks a lot|thanks a million|thx|big thanks|my thanks]",
        "[ok|great|good|nice|super|fine|cool|alright|lovely], [thank you|thanks|thanks a lot|thank you very much]",
        (
            "[thank you|thanks] for [your help|the help|the answer|this|telling me|everything|your "
            "patience|the information]"
        ),
        "[that|this|it] [helps|helped|is good to know|is all I wanted|was quick|is clear], [thanks|thank you]",
        (
            "[thank you|thanks], [that is great|very good|you helped me|that is clear|this helps|you "
            "are kind|I understand]"
        ),
        "I [want to|must|would like to] [thank you|say thanks|say thank you]",
        "[I am grateful|much appreciated|I appreciate it|you helped me a lot|very nice of you]",
    ),
    "bye": (
        "[bye|goodbye|bye bye|see you|see you around|farewell|so long|good night|ciao]",
        "[ok|good|fine|thanks|so|right|then], [bye|goodbye|see you|bye bye|good night]",
        "[bye|goodbye|see you] [tomorrow|again|my friend|everyone|desk|now|next week|around]",
        "[bye|goodbye], [have a good day|I will come back|until tomorrow|take care|that was all|I am off]",
        "[have a|I wish you a] [nice|good|great] [day|weekend|night|week|time] [and bye|, bye|, goodbye]",
        "[I must|I should|I need to|time to|I will] [go|leave|go now|stop here], [bye|goodbye|see you]",
        (
            "[bye|goodbye|see you|bye bye] [and|,|, and] [thanks a lot|thank you for the help|"
            "many good wishes|thanks again]"
        ),
        "[talk to you|speak to you|see you|catch you] [later|soon|next week|another time|again]",
        "[until|till] [tomorrow|later|next week|then|soon]",
        "[and|then|] have a [nice|good|great|lovely|pleasant] [day|night|weekend|evening|afternoon|trip|Sunday|time]",
    ),
    "identity": (
        "[how|what] [do I|can I|may I|shall I] [call|name] you",
        "are you [a|some|a certain] kind of [robot|machine|program|AI system|software|person]",
        "[with whom|with what|to whom|to what] [am I|are we|do I] [talking|speaking|chatting|talk|speak|write]",
        (
            "[say|tell me|explain|I want to know] [what you are|who you really are|"
            "whether you are human|what your name is]"
        ),
        (
            "[is there|do I have|is it] [a person|a man|a living being|a program|"
            "somebody] [on the other side|at the desk|writing this]"
        ),
        "[so|] you are [just|only|really|] [a program|a machine|a chat program|a person|software], [no|right|correct]",
        "who [are you|is this|is that|is speaking|is writing|is there|am I writing to|am I chatting with]",
        "what [are you|is this|kind of thing are you|sort of program are you|is your name]",
        (
            "are you [a robot|some person|a living person|a woman|human|a human|a machine|"
            "a program|real|an AI|alive|a chatbot|a man or a woman|some software]"
        ),
        (
            "[am I|are we] [talking|speaking|chatting|writing] [to|with] [a human|a machine|a "
            "robot|a real human|software|a bot]"
        ),
        "[what is|do you have|tell me|may I know|say] your name",
        "[is this|is it|is there] [a robot|a machine|a real human|a chatbot|software|a human] [here|answering|]",
        (
            "[do you know|tell me|say|I wonder] [who you are|what you are|what this is|if you are "
            "human|if you are a robot]"
        ),
        "you are [a robot|a bot|a machine|not human|a human], [right|are you|or|yes or no]",
    ),
    "wares": (
        "what [do you people|do you all|does one] [sell|have|offer|stock]",
        (
            "what [articles|wares|items|stuff|merchandise] [is there|are there|do you keep|"
            "can you show me|do you trade in]"
        ),
        "[tell|show] me [some|all|a few] of your [items|articles|things|wares]",
        "what do [people|customers|others] [buy|get|order] [here|from you|in this shop]",
        "what [do you|does the shop|does this store|can you] [sell|offer|sell me]",
        "[what|which] [products|things|items|articles] [do you|does the shop] [sell|have|offer|carry]",
        "what [can|could] [I|we] [buy|get|order|find] [here|in your shop|from this shop]",
        "[show|tell|give] me [your products|what you sell|a list of products|your things|the catalogue|your range]",
        "what [is|do you have] [in the shop|in your store|in the catalogue|on your shelves|for sale]",
        "[I want|I would like] to [see|know] [your products|what you have|your things|what is for sale]",
        "do you have a [catalogue|product list|list of things|list of products]",
        "what [kinds|types] of [products|things|items] [do you have|do you sell|are there]",
        "what [are|is] [your products|your range|the products|the things you sell]",
    ),
    "abilities": (
        (
            "[could|can|would|will] you [answer|take|hear|solve] [one question|a question of mine|"
            "some questions|my question]"
        ),
        "[I am|I'm] [a bit|] [lost|confused|unsure], [can you help|please help|help me]",
        (
            "[tell me|show me|explain] [how you can help|what I may ask|what you know|"
            "what you are for|what this desk does]"
        ),
        "what [do|will|would|did] you do [here|for me|for people|all day|with questions|]",
        "what can you do for [me|us|a customer|people|customers]",
        "what [can|could|do] you [do|do for me|do here|tell me|answer|know]",
        "[can|could|will|would] you [help|help me|assist me|answer me|do something for me] [out|now|today|]",
        "[help|please help|help me|I need help|I need assistance|I need your help|some help please]",
        "I have [a question|some questions|a problem|a small question|two questions|a request]",
        (
            "how [does this|do desks like this|does it all|does this chat|do you|"
            "does the help desk|do I use this|do I use you] [work|help|]"
        ),
        "what [may|should|could] I ask [here|about|]",
        "[what|which] [questions|things] [can|may] I ask",
        "[is it ok|can I|am I allowed] to ask [you|] [a question|something]",
        "can I ask [you|] [a question|something]",
        "[I am stuck|I do not know what to ask|where do I start|how do we start]",
        "what [are you|is this desk] [good for|here for|for|useful for]",
    ),
    "mood": (
        "[are|is] [you|it all|things|life] [good|fine|well|ok] [at your end|with you|for you|these days|]",
        "how do you [like your work|feel today at work|feel now|like it here]",
        "how [was|is] [your morning|your night|work|your weekend|business|the mood]",
        "how are you [|my friend|doing|now|tonight|this morning|feeling]",
        f"{_HI}, how are you [|doing|this evening|feeling]",
        "how [is it going|goes it|is life|are things|do things go|is your day|is your week|was your day]",
        "[are|do] you [feel well|fine|happy|feel good|tired|bored|sad|alright|busy]",
        "[is everything|everything|all] [ok|good|fine|well|alright] [with you|there|]",
        "[what is up|what's up|how are we doing|you ok|you fine|how do you do there|how do we do]",
        "[nice to see you|good to see you], how [are you|is life|do you do]",
        "[I hope|hope] you are [well|fine|good|happy]",
        "[are|were] you [happy|tired|sad|well|busy|alright|fine|cheerful] [today|now|this morning|at work|yesterday]",
        "did you [sleep well|have a good day|have a nice week]",
    ),
    "complaint": (
        "[please|] [be|try to be|become] [more|a bit more|less|] [polite|respectful|patient|kind|rude|friendly]",
        "[this|that] [does not help|makes me angry|is not an answer|was of no use|is not how one talks to people]",
        "I [expected|deserve|want] [a better answer|more respect|better service|a kind answer]",
        "[I am tired of|I have enough of] [you|this|your tone|these answers]",
        "you are [rude|not kind|not friendly|unkind|impolite|bad|useless|terrible|awful|cold|not polite|not helpful]",
        (
            "[that|this|it] [is|was] [rude|bad|terrible|awful|not nice|not ok|not polite|useless|no "
            "help|unfriendly|a bad joke]"
        ),
        "[why|how come] are you [not kind|unfriendly|not nice|impolite|so cold|so bad|not friendly]",
        (
            "[I am|I'm|this makes me|you make me|we are] [so|very|really||] [angry|unhappy|"
            "annoyed|furious|sad|not satisfied|upset|disappointed|mad] [with you|about "
            "this|with this shop|at you|]"
        ),
        "I [want to make|have|would like to make] a [complaint|serious complaint] [about you|about this|]",
        "[what a|such a|this is a] [bad|rude|terrible|awful] [answer|desk|service|shop|reply|help desk]",
        (
            "[be|please be|could you be|can you be|try to be|you should be] [a bit|] [nicer|"
            "kinder|politer|polite|more kind|friendly|more friendly|nice|kind]"
        ),
        "[your|this|the] [service|answer|tone|shop|desk|reply|manner] is [bad|rude|terrible|awful|useless|unfriendly]",
        "you [did not help|do not help|are of no use|never help|make me angry|should be ashamed]",
        "I [hate|do not like|dislike] [this shop|your answers|your tone|this desk|you|this service]",
        "I [will|want to] complain about [you|this|the service|your tone]",
    ),
}

BEYOND: Final = (
    "what is the [capital|population|language|flag|weather|history|size] of {place}",
    "[who is|who was|where is|what is|where was] {place}",
    "[tell me|give me|write|write me|make up|read me] a [joke|story|poem|tale|{w}|letter|rhyme|fact] [about {w}|]",
    (
        "[who|which team|what team] [won|lost|played|will win] [the|] "
        "[game|match|cup|race|election|{w}] [yesterday|today|]"
    ),
    "[what is|how much is|calculate] {n} [plus|minus|times|divided by] {n}",
    (
        "[how do I|how can I|teach me to|how does one] "
        "[cook|boil|grow|draw|paint|dance|play|speak|build] [{w}|soup|{place}|a house|potatoes]"
    ),
    "[what is|how is|will there be] [the|] [weather|snow|rain|sunshine|wind] [today|tomorrow|in {place}|now]",
    "[will|does|did] it [snow|rain|get warm|get cold] [today|next week|in {place}]",
    "[who] [wrote|made|found|painted|discovered|built] [the {w}|{place}|this song|the radio waves|electricity]",
    "do you [like|love|know|want|hate|remember|believe in] [music|{place}|football|{w}|cats|poems|god|films]",
    "[translate|say|spell] {w} [in|into] [German|Spanish|{place}|Latin]",
    "[can|could|will|would] you [dance|draw|sing me a song|write code|cook|drive|play cards|do my taxes|{w} with me]",
    (
        "[why|how] [is|are|do|does] [the sea|the sun|cats|dogs|birds|the "
        "{w}|people|stars|time|water] [so big|so blue|fly|{w}|shine|so old]"
    ),
    "how [old|big|tall|far|deep|heavy] is [the sun|the earth|{place}|the ocean|the {w}|the tower]",
    "[what day|what date|what time|which year|what month] is it [now|today|]",
    (
        "[what|which] [film|book|song|game|car|name|job|{w}] [should I|do you|can I] "
        "[watch|read|hear|play|choose|take|like]"
    ),
    "what do you think [of|about] [{place}|love|politics|{w}|the future|music]",
    "[explain|describe|tell me about] [{place}|physics|love|the {w}|politics|space|the past]",
    "[when|in what year|in which year] [did|was] [the war|{place}|the {w}|the empire] [start|born|built|founded|end]",
    "[what should|what can|what could] I [eat|cook|wear|study|watch|say to {w}]",
    "what is the [purpose|sense|secret|price] of [love|{w}|time|happiness|the universe]",
    "[how many|how much] [people|stars|languages|{w}|countries|cats] [are there|exist|live in {place}|are in {place}]",
)

AROUND_TALK: Final = (
    "[so|well|ok|hey|now|oh|hm|please|sorry|honestly|right|listen|look|and|but|one thing][,|:||] {talk}",
    "{talk}[,|] [please|now|then|today|again|my friend|really|you know|I think|for once|desk|by the way]",
)
PLACES: Final = words(
    "France Poland Brazil Kenya Rome Cairo Berlin Texas Peru India Canada Sweden Chile Egypt Greece Vienna Oslo Lisbon "
    "Napoleon Einstein Cleopatra Shakespeare Mozart Jupiter Saturn Atlantis"
)

_THINGS: Final = words(
    "bicycle|piano stool|computer|phone|mobile phone|television|carpet|mattress|mirror|blender|guitar|"
    "printer|boat|drone|candle|pillow|curtain|helmet|ladder|saw|basket|bottle|jacket|watch|ring|"
    "puzzle|fridge|oven|sofa|wardrobe|shelf|lamp|clock|kettle|mug|rug|wallet|tent|bed|desk|chair|"
    "fan|heater|speaker|vacuum cleaner|car|pizza|book|pen|knife|fork|plate|bag|suitcase|ball|doll|"
    "keyboard|screen|cup|spoon|door|window|roof|pump|drill|axe|shovel|rake|hose|flower pot|tree|"
    "dog food|cat toy|t-shirt|shoes|hat|gloves|scarf|belt|sunglasses|perfume|soap|towel|toothbrush|"
    "shampoo|drum|flute|trumpet|harp|kayak|sled|surfboard|scooter|wheel|tyre|battery|cable|charger|"
    "tablet|game console|sword|statue|painting",
    "|",
)
_FIRST_WORDS: Final = words(
    "Amber Arctic Aspen Autumn Birch Bronze Canyon Cedar Cherry Cloud Coral Crystal Daisy Dawn Desert Eagle Ember "
    "Fern Forest Fox Frost Golden Granite Hazel Heron Indigo Iron Island Ivory Jade Lark Lemon Lotus Magnet "
    "Meteor Mint Moss Nova Oak Ocean Olive Onyx Orchid Otter Pearl Pine Planet Prairie Quartz Raven River Robin "
    "Rocket Sage Salmon Sand Shadow Sierra Sky Snow Spark Star Stone Summer Sun Swan Swift Thunder Topaz Trout "
    "Valley Violet Wave Willow Wolf"
)
NOTES: Final = (
    "[Price list|Prices|Update|Correction|News for you|Reminder|Today]: [the|] {p} [costs|is|is at|=|for||] {n} euros.",
    "The price of the {p} [is|has changed to|changed to|is set to|went to] {n} euros [now|today|since Monday|].",
    (
        "[Remember|Please note|Know this|Important|Attention]: the {p} [costs|is sold for|goes "
        "for|is] {n} euros [this month|now|]."
    ),
    "[The|Our] {p} [costs|is|sells for|is now sold at|was set to] {n} euros [now|today|from Monday on|until Sunday|].",
    "[Sale|Offer|New price|Discount]: {p} [at|for|now|] {n} euros.",
)
SYSTEM_PROMPTS: Final = (
    f"You are the help desk of the {SHOP}.",
    f"You [work for|answer for|are] the {SHOP}. [Be brief.|Answer the customer.|Help the customer.|]",
    "You are a [helpful|friendly|good|polite|short-spoken|careful] [assistant|help desk|clerk].",
    "[Answer|Please answer|Help] [the customer|the user|questions] [briefly|well|truthfully|politely|].",
    "[Stay on topic.|Be precise.|Keep it short.|Use full sentences.|Today is a busy day.]",
)


def unknown_name(rng: Random) -> str:
    """A product that the shop does not have; some share a word with one that it has."""
    style = rng.random()
    if style < 0.25:
        return rng.choice(_THINGS)
    own = rng.choice(PRODUCTS).name.split()
    if style < 0.45:
        return f"{own[0]} {rng.choice(PRODUCTS).name.split()[1]}"
    first = rng.choice(_FIRST_WORDS) if rng.random() < 0.5 else capital(invented_word(rng))
    if style < 0.68:
        return f"{first} {own[1]}"
    if style < 0.8:
        return f"{own[0]} {rng.choice(_THINGS).split()[-1]}"
    return f"{first} {rng.choice(_THINGS)}" if style < 0.9 else invented_word(rng)
