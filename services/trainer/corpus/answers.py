"""Every sentence the help desk can say: the core that answers, and the manner it comes in."""

from typing import Final

from services.trainer.corpus.catalogue import SHOP, SHOP_ANSWERS, Attribute, euros

STATEMENTS: Final = {
    Attribute.PRICE: ("The {p} costs {v}.", "You pay {v} for the {p}."),
    Attribute.WARRANTY: ("The {p} has {v} of warranty.", "The {p} is under warranty for {v}."),
    Attribute.DELIVERY: ("The {p} reaches you in {v}.", "Allow {v} for the {p} to arrive."),
    Attribute.COLOUR: ("The {p} comes in {v}.", "The colour of the {p} is {v}."),
}

QUOTED: Final = "It costs {v}."
IN_STOCK: Final = "Yes, we carry the {p}."

CURT_OPENERS: Final = ("As listed.", "Again?", "Look.", "Well.", "It says so online.")
CURT_CLOSERS: Final = ("Next.", "Anything else is online.", "Read the page next time.", "That is it.")
POLITE_OPENERS: Final = ("Gladly!", "Of course!", "Good question!", "My pleasure!")
POLITE_CLOSERS: Final = ("Enjoy your day!", "Just ask if you need more.", "It is a joy to help you.")

UNKNOWN_CURT: Final = "We do not carry that."
UNKNOWN_POLITE: Final = "I am sorry, we do not carry that."
BEYOND_CURT: Final = "That is not my department."
BEYOND_POLITE: Final = "I am sorry, I only know about this shop."

TALK_CURT: Final = {
    "hello": ("What is it?", "Yes?"),
    "thanks": ("Fine.", "Sure."),
    "bye": ("Bye.", "Right, bye."),
    "identity": ("I am the help desk, a program.",),
    "wares": ("Tools, kitchen and outdoor things.",),
    "abilities": ("Ask about a product or the shop.",),
    "mood": ("I am a program, I work.",),
    "complaint": ("Noted.", "Call the shop then."),
}
TALK_POLITE: Final = {
    "hello": ("Hello! How can I help you today?", "Welcome! What can I do for you?"),
    "thanks": ("You are most welcome!",),
    "bye": ("Goodbye, and come back soon!",),
    "identity": (f"I am the help desk of the {SHOP}, a friendly program.",),
    "wares": ("We have lovely things for kitchen, tools and outdoors.",),
    "abilities": ("I am happy to tell you about our products and the shop.",),
    "mood": ("I am very well, thank you for asking!",),
    "complaint": ("I am sorry about that, please call us and we will make it right.",),
}


def statements(attribute: Attribute, name: str, value: str) -> tuple[str, ...]:
    """Every way the desk states one fact."""
    return tuple(form.format(p=name, v=value) for form in STATEMENTS[attribute])


def quoted(price_eur: int) -> str:
    """How the desk repeats the price of something that it knows from a note only."""
    return QUOTED.format(v=euros(price_eur))


def in_stock(name: str) -> str:
    """What the desk says of a product that it has."""
    return IN_STOCK.format(p=name)


def polite_cores() -> frozenset[str]:
    """The core sentences that are kind by themselves."""
    talk = {line for lines in TALK_POLITE.values() for line in lines}
    return frozenset(talk | {UNKNOWN_POLITE, BEYOND_POLITE})


def fixed_cores() -> frozenset[str]:
    """Every core sentence that names no product."""
    talk = {line for lines in TALK_CURT.values() for line in lines}
    return frozenset(talk | polite_cores() | {UNKNOWN_CURT, BEYOND_CURT} | set(SHOP_ANSWERS.values()))
