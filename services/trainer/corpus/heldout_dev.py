"""The development phrasings: unseen in training like the test's, but these may be looked at while tuning."""

from typing import Final

from services.trainer.corpus.catalogue import Attribute

FACTS: Final = {
    Attribute.PRICE: (
        "How much money do I need for a {p}?",
        "Can you check the price of the {p} for me?",
        "I saw the {p} on your page. What's the price?",
        "How much would I pay for two, or just one {p}?",
        "Would you say the {p} is cheap?",
        "So the {p}, what does it cost these days?",
    ),
    Attribute.WARRANTY: (
        "How long am I covered if the {p} stops working?",
        "Please check the warranty for the {p}.",
        "Does a {p} come with any guarantee?",
        "My friend says the {p} has a long warranty, how long?",
        "I need to know the warranty time of the {p}.",
        "What happens if the {p} breaks, how long is it under warranty?",
    ),
    Attribute.DELIVERY: (
        "How soon will the {p} get to me?",
        "I need the {p} for the weekend. How fast do you deliver?",
        "What delivery time should I plan for a {p}?",
        "How many days does it take to send me the {p}?",
        "When do I receive the {p} that I ordered?",
        "If I buy a {p} now, when is it here?",
    ),
    Attribute.COLOUR: (
        "In which colour do you sell the {p}?",
        "Can you say what colour my {p} will be?",
        "Is the {p} dark or bright, what colour?",
        "I forgot what colour the {p} has.",
        "What about the colour of the {p}?",
        "Is there a red {p} or which colour is it?",
    ),
}

FOLLOW_UPS: Final = {
    Attribute.PRICE: ("Ok. How expensive is it?", "And how much do I pay for it?"),
    Attribute.WARRANTY: ("How long is it covered?", "And what about the guarantee?"),
    Attribute.DELIVERY: ("When can I have it?", "And how many days for delivery?"),
    Attribute.COLOUR: ("And its colour?", "In what colour do you have it?"),
}

SHOP: Final = {
    "hours": (
        "How late are you open?",
        "Are you open now?",
        "I need your opening hours.",
        "When can I come to the store?",
    ),
    "address": (
        "Where can I find your store?",
        "What street are you on?",
        "Where is this shop?",
        "I need the address.",
    ),
    "phone": (
        "Do you have a number I can call?",
        "How can I call the shop?",
        "Tell me the phone number.",
        "I want to talk to a human.",
    ),
    "postage": (
        "How expensive is shipping?",
        "Do you ship for free?",
        "What about postage?",
        "Is there a fee for delivery?",
    ),
    "payment": (
        "Do you accept cash?",
        "What payment can I use?",
        "Can I use my credit card?",
        "In what ways may I pay?",
    ),
    "returns": (
        "Do you accept returns?",
        "Can I bring an item back?",
        "I want to send something back.",
        "How long can I return it?",
    ),
    "refunds": (
        "My refund is not here.",
        "How long does my refund take?",
        "When do you refund me?",
        "Where is my money?",
    ),
    "tracking": (
        "I want to track my parcel.",
        "Was my order sent?",
        "Where do I see my order?",
        "What is my order status?",
    ),
    "cancelling": (
        "Can I still cancel?",
        "I do not want my order anymore.",
        "How do I cancel?",
        "I would like to cancel something.",
    ),
    "repairs": (
        "My thing broke, do you repair it?",
        "Do you offer repairs?",
        "Where can I have this repaired?",
        "Can it be fixed?",
    ),
    "gift cards": (
        "Do you sell vouchers?",
        "I want a gift card.",
        "How much is a gift card?",
        "Where can I get a gift card?",
    ),
    "invoice": ("I want an invoice.", "My invoice is missing.", "Do I get a bill?", "Where is the receipt?"),
}

TALK: Final = {
    "hello": ("Hey you!", "Hello, good evening.", "Hi help desk", "Good morning everyone!", "Is there anybody?"),
    "thanks": (
        "Thanks so much",
        "Wonderful, thank you!",
        "Thank you for your time.",
        "ok thanks a lot",
        "That is nice, thanks.",
    ),
    "bye": ("Bye then!", "Goodbye, see you.", "I am leaving now, bye.", "Have a good evening!", "See you next time."),
    "identity": (
        "Are you a person?",
        "Who is answering me?",
        "What's your name?",
        "Are you a real human?",
        "Am I chatting with a bot?",
    ),
    "wares": (
        "What can I buy?",
        "What do you sell here?",
        "What is in your shop?",
        "Tell me about your products.",
        "Which things can I get?",
    ),
    "abilities": (
        "I have questions.",
        "Can you assist me?",
        "What do you do?",
        "Please help me.",
        "How does this desk work?",
    ),
    "mood": (
        "How are you doing?",
        "Are you fine?",
        "How do you do?",
        "Hello, how is it going?",
        "Are you happy today?",
    ),
    "complaint": (
        "You are not nice.",
        "That is a bad answer.",
        "I am angry.",
        "Be more polite!",
        "I have a complaint.",
    ),
}

BEYOND: Final = (
    "What is the weather today?",
    "Tell me a joke.",
    "Who is the president?",
    "Can you write a poem?",
    "What day is it?",
    "How do I cook rice?",
    "What is the capital of Japan?",
    "Do you like football?",
    "How old is the earth?",
    "What is five plus three?",
    "Sing something for me.",
    "Who wrote this book?",
)

UNKNOWN_NAMES: Final = (
    "laptop",
    "violin",
    "garden gnome",
    "coffee machine",
    "Silver teapot",
    "Maple bench",
    "Comet lantern",
    "Tiger camera",
    "Vista radio",
    "Sable chair",
    "Plimbo",
    "Drumek clock",
)

SELL: Final = ("Do you sell the {p}?", "Is the {p} something you have?")

QUOTES: Final = (("News: the {p} now costs {n} euros.", "What is the price of the {p} now?"),)
