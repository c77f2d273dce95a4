"""How customers ask about the shop itself in training: per topic whole questions, clauses after a lead, and nouns."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Topic:
    """The ways into one question about the shop."""

    direct: tuple[str, ...]
    clauses: tuple[str, ...]
    noun: str


FRAMES: Final = (
    "{noun} [please|]",
    "[what about|how about|and|about] [the|your|] {noun}",
    "[a|one|] question [about|on] [the|your] {noun}",
    "[I have a question|I want to ask|I am asking|tell me|I need to know|I'd like to know] about [the|your] {noun}",
    "[how does|how is] [the|your] {noun} [work|here|with you]",
    "[I need|I want|give me|show me|I am looking for] [the|your] {noun}",
)

TOPICS: Final = {
    "hours": Topic(
        (
            "when [are you|is the shop|is your store|do you] [open|opened]",
            "[at|] what time [do you|does the shop|does your store|will you] [open|close|shut]",
            "[what|which] are [your|the] [opening hours|hours|business hours|opening times]",
            (
                "are you [still|] open [today|on Saturday|on Sunday|tomorrow|in the evening|at noon|at "
                "night|on holidays|late|this week]"
            ),
            (
                "[is the shop|is your store|is it] [open|closed] [today|on Sunday|on Monday|now|at "
                "nine|in the morning|tonight]"
            ),
            "[how long|until when|till when|until what time] [are you|is the shop|is your store] open [today|]",
            (
                "[can|could|may] I [come|drop in|visit|stop by] [on Sunday|today|tonight|at eight|in the "
                "evening|on Monday morning]"
            ),
            "when [can|may|should|could] [I|we] [come|walk in|come over] [to|at] [your store|the shop]",
            "when [can|may|should] I [come|visit|drop in|stop by] [to the shop|]",
            "[which|what] days are you [open|closed]",
            "when do you [close|shut|open] [today|tonight|on Friday|]",
        ),
        (
            "when [you|the shop|your store] [opens|closes|open|close|is open|are open]",
            "[if|whether] [you are|the shop is|your store is] open [today|on Sunday|tomorrow|now]",
            "how long [you are|the shop is] open",
            "[your|the] [opening hours|hours|opening times]",
            "[which|what] days you [are open|open]",
            "when I can [come|visit|drop in]",
        ),
        "[opening hours|hours|opening times|business hours|closing time]",
    ),
    "address": Topic(
        (
            "where [is|are] [the shop|your shop|your store|you] [located|exactly|]",
            "where [can|do|will] I find [you|your shop|the store]",
            "[what is|what's] [your|the] [address|street|location]",
            "[which|what] [street|road|town|part of town] are you [in|on|at]",
            "[in|on] [which|what] [street|town|part of town|place] [are you|is the shop|is your store]",
            "how [do|can] I [find|reach|come to|get to|walk to] [you|the shop|the store|your place]",
            "where [must|do|should|can] I [go|come|drive] to [visit|find] [you|the shop]",
            "give me [your|the] address",
            "I am [lost|in town|near you|on my way], where [is the shop|are you|is your store]",
            "do you have a [shop|store|place] I can visit, where",
        ),
        (
            "where [you are|the shop is|your store is|you are located]",
            "where [I find you|I can find the shop|to find you|your shop can be found]",
            "[your|the] [address|exact address|location]",
            "[which|what] street [you are in|the shop is in]",
            "how [I|to] [get|come] to [you|your shop|the store]",
        ),
        "[address|shop address|location|street]",
    ),
    "phone": Topic(
        (
            "[what is|what's] [your|the] [phone|telephone|] number",
            "[can|could|may] I [call|phone|ring] [you|the shop|somebody|a person]",
            "how [can|do|may] I [call|phone|contact|reach] [you|the shop|somebody] [by phone|]",
            "[can|could|may] I [talk|speak] to [a human|a person|somebody|a real person|your staff|the boss]",
            "I [want|need|would like|prefer] to [talk|speak] to [a human|a person|someone|your boss|the staff]",
            "[what|which] number [can|should|must|do] I [call|phone|use|ring]",
            "do you have a [phone|telephone|] number",
            "is there a [phone number|number|hotline|number to call|person to talk to]",
            "give me [a|your|the] [phone|telephone|] number",
            "I [want|need|have|would like] to [call|phone|ring] [you|the shop|somebody]",
        ),
        (
            "[your|the] [phone number|number|telephone number|contact]",
            "how [I can|to] [call|phone|contact|reach] you",
            "[what|which] number [I can call|to call|I should ring]",
            "[if|whether] I can [call|phone|talk to] [you|somebody|a human]",
        ),
        "[phone number|telephone number|contact|number|hotline]",
    ),
    "postage": Topic(
        (
            "[how much|what] [is|does|are] [the|your|] [postage|shipping|shipping fee|shipping cost|postage fee]",
            "how much does [postage|shipping|delivery|sending an order] [cost|cost me]",
            "what [does|will|do] [postage|shipping|you charge for shipping|delivery of an order] cost",
            "is [postage|shipping|delivery|sending] [free|for free|included|expensive]",
            "do [I|we] [pay|have to pay|need to pay] [for|] [postage|shipping|a shipping fee|extra for shipping]",
            "do you [ship|send|deliver] [for free|without cost|free of charge]",
            "do you [have|offer] free [postage|shipping|delivery]",
            "when is [postage|shipping] free",
            "what are [the|your] [shipping|postage|delivery] [costs|fees|rates|charges]",
            "[is there|do you charge|do you take] a [fee|charge] for [postage|shipping|sending]",
            "how much [do|must|will] I pay for [postage|shipping|the parcel|sending]",
        ),
        (
            "[if|whether|when] [postage|shipping|delivery] is [free|included]",
            "how much [postage|shipping] [is|costs]",
            "what [postage|shipping] [costs|is]",
            "what you charge for [postage|shipping|sending]",
            "[if|whether] I [pay|must pay|have to pay] for [postage|shipping]",
            "the [cost|price] of [postage|shipping]",
        ),
        "[postage|shipping costs|shipping fee|postage fee|shipping rates|free shipping]",
    ),
    "payment": Topic(
        (
            "how [can|do|may|could|should] [I|we|one] pay [here|you|for things|]",
            (
                "[what|which] [payment methods|payments|ways of payment|cards|payment options] [do "
                "you|can you|do they] [accept|take|have|offer]"
            ),
            (
                "do you [accept|take] [cards|credit cards|cash|bank transfer|my card|money in cash|debit "
                "cards|payment by card]"
            ),
            (
                "[can|could|may] [I|we|one] pay [by card|in cash|by transfer|with cash|with my "
                "card|online|by bank|later|with a credit card]"
            ),
            "[is it possible|is it ok|am I allowed] to pay [by card|in cash|with cash|by transfer|with a card|online]",
            "[what|which] [are the|are your|kind of] [payment methods|payment options|ways of paying]",
            "I [want|would like|have|prefer] to pay [by card|in cash|by transfer|with cash]",
            "I [only have|have only] [cash|a card]",
            "[is|are] [cash|cards|a transfer|credit cards] [ok|fine|accepted|possible]",
        ),
        (
            "how [I|one|we] can pay",
            "how to pay",
            "[if|whether] [you take|you accept|I can pay by|I can pay with] [card|cash|transfer|credit card]",
            "[what|which] [payment methods|payment options|cards] you [accept|take|have]",
        ),
        "[payment|payment methods|ways to pay|payment options|paying by card|paying in cash]",
    ),
    "returns": Topic(
        (
            (
                "[can|could|may] [I|we|one] [return|send back|bring back|give back] [it|an "
                "item|things|something|my order|this|a product]"
            ),
            "[what is|what's] [your|the] return [policy|time|period|rule]",
            "how [do|can|may|should] I [return|send back|bring back] [it|an item|something|things|my order]",
            "how [long|many days] [can|may|do] I [return|send back|have to send back] [it|an item|something|things]",
            (
                "I [want|would like|need|have] to [return|send back|bring back] [it|an item|something|my "
                "order|this|a thing]"
            ),
            "do you [take|accept|allow] [returns|things back|items back|a return]",
            "how [does a return|do returns|does returning] [work|go]",
            "[is it possible|am I able] to [return|send back] [it|an item|something|things]",
            "I do not [like|want|need] it [anymore|], can I [send it back|return it|bring it back]",
            "it is [too big|too small|wrong|not nice|ugly], can I [send it back|return it]",
            "[until when|till when] [can|may] I [return|send back] [it|something|things]",
        ),
        (
            "how [to|I can|I] [return|send back] [it|an item|something]",
            "[if|whether] I [can|may] [return|send back|bring back] [it|an item|something]",
            "[your|the] return [policy|rules|period]",
            "how [long|many days] I [have to return it|can send it back]",
        ),
        "[returns|return policy|return period|return]",
    ),
}
