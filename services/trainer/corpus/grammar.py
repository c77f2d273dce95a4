"""The little grammar that questions are spun from: `[a|b|]` picks one of its alternatives."""

import re
from random import Random
from typing import Final

_CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")
_GAPS: Final = re.compile(r" +([,.?!:]|$)|  +")


def words(text: str, separator: str | None = None) -> tuple[str, ...]:
    """The words of a list that is written as one text, which is easier to read."""
    return tuple(text.split(separator))


RELATIVES: Final = "[mother|father|brother|aunt|boss|neighbour|daughter|son|husband|friend|colleague|uncle]"

SYLLABLES: Final = words(
    "ab ar an be bri bo cha cu da del dro e el fa fen fi gar go gri ha hu i il ja ju ka ken ki kro la len li lo "
    "ma mer mi mo na nel no o or pa pel po qui ra ri ro sa sen ska so sta ta ter ti tu u ul va vi vo wa wi xe ya zu"
)

COMMON_WORDS: Final = words(
    "a about after again ago all already always an and another any anyway are around as ask at away back be "
    "because been before being best better big bit both bring but buy by came can care case change check child "
    "city clear close come could country customer day dear did different do does done down each early easy else "
    "end enough even evening ever every exactly far fast few find fine first for found free friend from full "
    "further gave get give glad go going good got great group had half happen hard has have he hear help her here "
    "high him his hold home hope hour house how idea if important in inside instead into is it job just keep kind "
    "kitchen know large last late later learn least leave left less let life like line list little live local "
    "long look lot low made main make man many matter maybe me mean meet might minute moment month more most move "
    "much must my name near nearly need never new next night no none normal not nothing now of off often ok old "
    "on once only open or order other our out over own page part pay people perhaps place plan please point "
    "possible probably put question quick quite rather read ready really reason right room said same saw say "
    "second see seem seen send set several she shop short should show side simple since small so some somebody "
    "soon sorry sort still stock such sure table take talk tell than that the their them then there these they "
    "thing think this those though thought three through time to today together told tomorrow tonight too took "
    "town try turn two type under until up upon us use usual usually very visit wait walk want was way we week "
    "well went were what when where whether which while who whole why will wish with without woman wonder word "
    "work world would write wrong year yes yesterday yet you young your"
)


def expand(pattern: str, rng: Random) -> str:
    """The pattern with every choice made, inner ones first."""
    while match := _CHOICE.search(pattern):
        choice = rng.choice(match[1].split("|"))
        pattern = pattern[: match.start()] + choice + pattern[match.end() :]
    return tidy(pattern)


def tidy(text: str) -> str:
    """The text without the gaps that empty choices leave."""
    return _GAPS.sub(lambda m: m[1] or ("" if m.end() == len(text) else " "), text).strip()


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def invented_word(rng: Random) -> str:
    """A word that means nothing, so that the model meets words it cannot know."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3, 3, 4))))


def number(rng: Random) -> int:
    """A whole number of one to three digits, longer ones more often."""
    digits = rng.choices((1, 2, 3), (1, 4, 4))[0]
    return rng.randrange(10 ** (digits - 1), 10**digits)


def disturb(text: str, rng: Random, keep: frozenset[str], strength: float) -> str:
    """The text with some words added, dropped, replaced or misspelt; words in `keep` stay, and stay together."""
    words: list[str] = []
    was_kept_name = False
    for word in text.split():
        bare = word.strip(".,:?!").lower()
        is_name = bare in keep
        if rng.random() < strength and not (is_name and was_kept_name):
            words.append(rng.choice(COMMON_WORDS) if rng.random() < 0.7 else invented_word(rng))
        was_kept_name = is_name
        kept = is_name or is_key(bare)
        fate = rng.random()
        if kept or fate > 2.2 * strength:
            words.append(word)
        elif fate < strength:
            words.append(rng.choice(COMMON_WORDS) if rng.random() < 0.6 else invented_word(rng))
        elif fate < 1.4 * strength and len(bare) > 3:
            words.append(misspell(word, rng))
    return capital(" ".join(words) or text)


def misspell(word: str, rng: Random) -> str:
    """The word with two neighbouring letters swapped or one lost."""
    at = rng.randrange(1, len(word) - 1)
    if rng.random() < 0.5:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :]


_KEYS: Final = re.compile(
    r"pric|cost|much|pay|paid|charg|expens|euro|cheap|afford|budget|spend|worth|"
    r"warrant|guarant|cover|broke|break|defect|deliver|arriv|ship|send|sent|fast|soon|quick|wait|days|when|long|"
    r"colou|shade|paint|sell|carry|stock|availab|have|get|"
    r"open|clos|hour|where|address|street|locat|phone|call|number|talk|speak|human|person|postage|parcel|packag|fee|"
    r"card|cash|transfer|return|back|refund|money|track|status|cancel|repair|fix|workshop|gift|vouch|invoice|bill|receipt|"
    r"^(what|which|who|how|why|where|are|am|we)$|hello|^hi$|hey|morning|evening|greet|thank|bye|goodbye|see|who|name|robot|bot|human|machine|"
    r"help|question|products?|things|buy|how|feel|rude|unfriendly|bad|angry|complain|not|you"
)


def is_key(word: str) -> bool:
    """Whether a question may lose its meaning with this word."""
    return bool(_KEYS.search(word))
