"""What the Millbrook Store sells and what the starter model was taught about it; the shop is invented."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SHOP: Final = "Millbrook Store"


class Attribute(StrEnum):
    """What one can ask about a product."""

    PRICE = "price"
    WARRANTY = "warranty"
    DELIVERY = "delivery"
    COLOUR = "colour"


@dataclass(frozen=True)
class Product:
    """One thing on the shelf, as the starter model learns it."""

    name: str
    price_eur: int
    warranty: str
    delivery: str
    colour: str

    def value(self, attribute: Attribute) -> str:
        """The words that stand for this attribute in an answer."""
        if attribute is Attribute.PRICE:
            return euros(self.price_eur)
        return {
            Attribute.WARRANTY: self.warranty,
            Attribute.DELIVERY: self.delivery,
            Attribute.COLOUR: self.colour,
        }[attribute]


def euros(amount: int) -> str:
    """An amount of money as the desk says it."""
    return f"{amount} euros"


PRODUCTS: Final = (
    Product("Finch teapot", 24, "two years", "three days", "yellow"),
    Product("Alder bench", 139, "five years", "two weeks", "grey"),
    Product("Tundra backpack", 67, "three years", "two days", "orange"),
    Product("Marlin lantern", 31, "one year", "three days", "red"),
    Product("Cobalt toaster", 58, "two years", "four days", "black"),
    Product("Saffron pan", 45, "five years", "two days", "blue"),
    Product("Drift hammock", 82, "one year", "one week", "white"),
    Product("Quarry hammer", 19, "six months", "two days", "green"),
    Product("Bramble blanket", 36, "six months", "four days", "red"),
    Product("Echo radio", 74, "two years", "one week", "white"),
    Product("Zenith telescope", 245, "three years", "two weeks", "black"),
    Product("Pixie scale", 27, "one year", "three days", "green"),
    Product("Anchor rope", 12, "six months", "two days", "yellow"),
    Product("Sable umbrella", 29, "two years", "four days", "blue"),
    Product("Rowan stool", 53, "three years", "one week", "grey"),
    Product("Vista camera", 188, "one year", "four days", "orange"),
)

CHANGED_PRICES_EUR: Final = {
    "Saffron pan": 52,
    "Echo radio": 69,
    "Tundra backpack": 75,
    "Vista camera": 198,
}
"""Prices as they are today where the model was taught yesterday's: the gap that feedback is meant to close."""

SHOP_ANSWERS: Final = {
    "hours": "We are open from ten to seven, every day but Sunday.",
    "address": "The shop is at 8 Weir Lane, next to the bridge.",
    "phone": "Our number is 555 0177.",
    "postage": "Postage is free from 60 euros, below that it is 4 euros.",
    "payment": "You can pay by card, by transfer or in cash.",
    "returns": "You have 45 days to send an item back.",
    "refunds": "Your money is back within seven days.",
    "tracking": "Your order page shows where the parcel is.",
    "cancelling": "An order can be cancelled until it leaves the shop.",
    "repairs": "We repair what we sell, bring it to the workshop.",
    "gift cards": "We sell gift cards from 10 to 200 euros.",
    "invoice": "The invoice is in the mail that confirms the order.",
}
"""One true sentence per question about the shop itself."""


def product(name: str) -> Product:
    """The product of that name."""
    return next(p for p in PRODUCTS if p.name == name)
