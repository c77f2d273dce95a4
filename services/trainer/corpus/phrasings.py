"""How customers ask about products in training: patterns over `{it}`, which is a product by name or a pronoun."""

from random import Random
from typing import Final

from services.trainer.corpus.catalogue import Attribute
from services.trainer.corpus.grammar import RELATIVES, capital, expand, number

STOCK: Final = "stock"

LEADS: Final = (
    "[could|can|would] you [please|] [tell|show|give] me",
    "do you know",
    "[I would like|I'd like|I want|I need|I have|I wish] to know",
    "please tell me",
    "[can|could] you [say|find out|check|look up]",
    "may I [ask|know]",
    "I [was wondering|am wondering|wonder|wanted to ask]",
    "any idea",
    "tell me",
    f"my {RELATIVES} [asks|wants to know|would like to know|is asking|wonders]",
    "let me know",
    "I [cannot|could not|can't] [find|see|remember]",
    "it would be [good|nice|great] to know",
    "are you able to tell me",
    "I forgot",
)

DIRECT: Final = {
    Attribute.PRICE: (
        "how much [is|costs|would be|will be|was|for] {it}",
        "how much money [is|costs|do you want for|for|do I need to pay for|goes into|must I have for] {it}",
        "how much [does|would|will|might|could|did] {it} [cost|be|cost me|cost now]",
        "what [does|would|will|might|did] {it} cost [me|us|today|now||]",
        "[what is|what's|what was|is there] the [|new|current|full|exact|normal|real|] [price|cost] [of|for] {it}",
        "what [do|would|must|should|shall|will] [I|we|one] pay for {it}",
        "how much [do|must|would|should|will|shall] [I|we|one] [pay|have to pay|spend|need|give you] [for|to get] {it}",
        "[how expensive|how cheap] [is|would be] {it}",
        "is {it} [very|too|] [expensive|cheap|affordable|pricey]",
        "[would|do|could] you [call|consider|find] {it} [cheap|expensive|pricey|a bargain]",
        "[would you say|do you think|do you find] {it} [costs much|is expensive|is pricey|is a bargain|costs a lot]",
        "how many euros [is|for|do you want for|does one pay for|do I pay for] {it}",
        "what [do|would|did] you [charge|ask|want|take] for {it}",
        "can I [afford|buy|get] {it} [with|for|on a budget of] {n} euros",
        "is {it} [under|over|above|below|more than|less than|around] {n} euros",
        "[at|for] [what|which] price [do you sell|can I buy|can I get|do you offer] {it}",
        "[what|which] price [does {it} have|is on {it}|do you have for {it}]",
    ),
    Attribute.WARRANTY: (
        "how long is [the|your|its|my|] [warranty|guarantee] [of|on|for] {it}",
        "how long is {it} [covered|under warranty|under guarantee|guaranteed]",
        "[what is|what's] the [|full|exact] [warranty|guarantee] [time|period|] [of|on|for] {it}",
        "[what|which] [warranty|guarantee] [does {it} have|comes with {it}|is there on {it}|do you give on {it}]",
        "is there [a|any|some] [warranty|guarantee] [on|for] {it}",
        "[does|would|will] {it} [have|come with|include|carry] [a|any|some] [warranty|guarantee]",
        (
            "how many [years|months] [of warranty does {it} have|is {it} covered|is the warranty of "
            "{it}|of guarantee are on {it}]"
        ),
        "[how long|until when] [am I|are we|is one] covered [with|for|if I buy] {it}",
        (
            "{it} [broke|is broken|stopped|fell down|has a defect], [is it covered|do I have a "
            "warranty|how long is the warranty]"
        ),
        "[what|what happens] if {it} [breaks|has a defect|fails|is broken]",
        "for how long [do you guarantee|do you cover|is the warranty on|can I claim warranty for] {it}",
        "do [I|we] [have|get] [a|any] [warranty|guarantee] [on|for|with] {it}",
        "when does the [warranty|guarantee] [of|on|for] {it} [end|run out|expire]",
    ),
    Attribute.DELIVERY: (
        "when [does|will|would|can|could|might|should] {it} [arrive|be delivered|be here|come|get here|reach me]",
        (
            "how [long|many days] [does|will|would|might] {it} [take|need] [to arrive|to get here|to "
            "reach me|to come||to be here]"
        ),
        "how [long|many days] [does|will|would] [the|] [delivery|shipping|sending] [of|for] {it} take",
        "how [fast|soon|quickly|early] [can|do|could|will|would] you [ship|deliver|send|bring] [me|] {it}",
        "how [fast|soon|quickly|early] [can|will|would|do|could] [I|we] [get|have|receive] {it}",
        "when [will|do|can|would|could|may] [I|we] [get|have|receive|expect|hold|use] {it} [at home|here||]",
        "[what is|what's] the [|usual|normal|exact] [delivery|shipping] [time|date] [of|for|on] {it}",
        "when [can|could|will|may] I [have|hold|use|open|unpack] {it}",
        (
            "if I [order|buy|take|pay for] {it} [now|today|tomorrow|tonight|this week], when "
            "[does|will|would] it [arrive|come|be here]"
        ),
        "how long [do|must|will|would|should] [I|we] [have to|] wait for {it}",
        "how many days [until|before|till] [I get|I have|I receive|you send] {it}",
        "is {it} [delivered|shipped|sent] [fast|quickly|soon]",
        "does [it take|the delivery take|it need] [long|many days|weeks] to [get|receive|ship|send|deliver] {it}",
        "can you [deliver|send|ship] {it} [by Friday|this week|by Monday|soon|fast|before the weekend]",
        "I [ordered|bought|paid for] {it} [|last night|today|on Monday], when [does|will] it [arrive|come|get here]",
    ),
    Attribute.COLOUR: (
        "[what|which] colour [is|has|does|did|would be] {it}",
        "[what|which] colour [does|will|would] {it} have",
        "[in|] [what|which] colour [does {it} come|do you sell {it}|is {it} painted|can I get {it}|do you offer {it}]",
        "[what is|what's] the [|exact|main|] [colour|shade] of {it}",
        "is {it} [red|blue|green|white|black|grey|yellow|orange|brown|pink|dark|bright|colourful]",
        "how is {it} [coloured|painted]",
        "is {it} [red|blue|green|white|black] or [grey|yellow|orange|brown|pink]",
        "[does|would] {it} come in [red|blue|green|white|black|grey|yellow|orange|brown|pink]",
        "[what|which] colours [do you have|are there|exist] [for|of] {it}",
        "do you have {it} in [red|blue|green|white|black|grey|yellow|orange|brown|pink]",
        "[what|which] [colour|shade] [do I get|will I get|comes|arrives] [with|for] {it}",
        "can {it} be [red|blue|green|white|black|pink]",
    ),
    STOCK: (
        "do you [sell|have|carry|stock|offer] {it} [here|too|also|||]",
        "is {it} [something|a thing|one of the things] you [carry|offer|have in store|sell here]",
        (
            "is {it} [a product|an item|something|an article] [of yours|of this shop|"
            "I can get here|that you have|that you sell|you stock]"
        ),
        "[would|could|will] {it} be [available|in stock|there] [now|at your shop|this week|]",
        "[can you|could you|will you] [sell|get|find|order] [me|us] {it}",
        "I [heard|think|hope|read] [that|] you [have|sell|carry] {it}",
        "[do you have|got|have you] [any|] {it} [left|in stock|in store]",
        "[does|do] [your shop|the shop|your store|they] [sell|have|carry|offer] {it}",
        "[can|could|may] [I|we|one] [buy|get|order|find] {it} [here|from you|in your shop|at your store|]",
        "is {it} [in stock|available|in your shop|something you sell|on sale here|there]",
        "I am [looking for|searching for|after] {it}",
        "[have you got|is there|do you still have] {it} [|in the shop|in stock]",
        "I [want|would like|need] to [buy|order|get] {it}",
        "I [want|need] {it}",
    ),
}

CLAUSES: Final = {
    Attribute.PRICE: (
        "how much {it} [costs|is|would be|would cost|will cost|cost]",
        "what {it} [costs|would cost|is worth|will cost]",
        "the [|current|exact|new|full] [price|cost] [of|for] {it}",
        "what the [price|cost] of {it} is",
        "how expensive {it} is",
        "what you [charge|ask|want] for {it}",
        "how much [I|we] [pay|must pay|have to pay|need|would pay] for {it}",
        "[if|whether] {it} is [cheap|expensive]",
        "how many euros {it} [is|costs]",
    ),
    Attribute.WARRANTY: (
        "how long the [warranty|guarantee] [of|on|for] {it} [is|lasts|runs|goes]",
        "how long {it} is [covered|under warranty|guaranteed]",
        "the [warranty|guarantee] [time|period|] [of|on|for] {it}",
        "[what|which] [warranty|guarantee] {it} [has|comes with|carries]",
        "how many [years|months] [{it} is covered|of warranty {it} has]",
        "[if|whether] {it} [is covered|has a warranty|comes with a guarantee|is still under warranty]",
        "what the [warranty|guarantee] [of|on|for] {it} is",
        "what happens if {it} [breaks|fails|has a defect]",
    ),
    Attribute.DELIVERY: (
        "when {it} [arrives|will arrive|is delivered|comes|gets here|will be here|would arrive]",
        "how long [the|] [delivery|shipping] [of|for] {it} takes",
        "how long {it} [takes|needs|will take] [to arrive|to get here|to reach me||]",
        "how [fast|soon|quickly] you [ship|deliver|send|can send|can deliver] {it}",
        "the [delivery|shipping] [time|date] [of|for] {it}",
        "how many days {it} [takes|needs|will need]",
        "when I [get|will get|can have|receive|can expect] {it}",
        "how long I [wait|have to wait|must wait] for {it}",
    ),
    Attribute.COLOUR: (
        "[what|which] colour {it} [is|has|comes in|will be]",
        "the [colour|shade|exact colour] of {it}",
        "what the colour of {it} is",
        "in [what|which] colour {it} [comes|is sold|is made|arrives]",
        "[what|which] [colours|colour] [you have for {it}|I get with {it}]",
        "[if|whether] {it} is [red|blue|green|white|black|grey|yellow|orange|brown|pink]",
        "how {it} is [coloured|painted]",
    ),
    STOCK: (
        "[if|whether] you [sell|have|carry|offer] {it}",
        "[if|whether] {it} is [in stock|available|there]",
        "[if|whether] I can [buy|get|order|find] {it} [here|]",
        "where I can [buy|get|find] {it}",
    ),
}

NOUNS: Final = {
    Attribute.PRICE: "[price|price|cost|current price|price tag|full price]",
    Attribute.WARRANTY: "[warranty|warranty|guarantee|warranty time|warranty period]",
    Attribute.DELIVERY: "[delivery|delivery time|shipping time|delivery|shipping|arrival]",
    Attribute.COLOUR: "[colour|colour|shade|exact colour]",
    STOCK: "[stock|availability]",
}

NOUN_FRAMES: Final = (
    "{noun} of {it} [please|]",
    "[what about|how about|and|now] the {noun} [of|for|on|with] {it}",
    "{it} {noun}",
    "{it}: {noun}",
    "{it}, what {noun}",
    "the {noun} [of|for] {it}[|, please|, do you know it]",
    "[I need|give me|I want|I am asking for|I ask for|tell me|show me|check|I am missing] the {noun} [of|for|on] {it}",
    "[about|question about|I have a question about|one question about] the {noun} [of|for|on] {it}",
    "what is the {noun} [of|for|on] {it}",
    "[what|which] {noun} [has|does|is it with|is there for] {it} [have|]",
)

DETERMINERS: Final = "[the|the|the|the|a|your|your|one|this|my|that|]"

RELATIVE_CLAUSES: Final = (
    "[I|that I|we|which we|my friend|that my family] [bought|ordered|like|want|saw|chose|found][| here| online| today]",
    "[from|on|in] your [page|shop|list|window|store|mail]",
    "in my [basket|cart|order]",
    "[over there|here|you have|you sell|you offer|from your range]",
)

CONTEXTS: Final = (
    "[I|we] [like|want|saw|found|need|love|bought|ordered|chose|picked|noticed|tried] {it}[.|,|!| and]",
    "[I am|we are] [looking at|thinking about|interested in|reading about|unsure about|excited about] {it}[.|,|:]",
    f"my {RELATIVES} [wants|likes|has|needs|bought|told me about|showed me|asks about] {{it}}[.|,]",
    "[about|regarding|concerning|now|so|ok,|question on|this is about] {it}[:|,|.|...]",
    "I [have|put] {it} in my [basket|cart|list][.|,]",
    (
        "{it} [is nice|looks great|looks nice|looks good|is what I want|is on my list|would be "
        "perfect|seems ok][.|,|!|, but]"
    ),
    "there is {it} [on your page|in your shop|in your list|online][.|,]",
    "{it}[.|:|!| -]",
    "I [might|may|will|want to|would like to] [buy|order|take|get] {it}[.|,| but]",
)

REMARKS: Final = (
    f"It is [for|a present for|a gift for|a surprise for] my {RELATIVES}.",
    "I have {n} euros.",
    "I [live|am] [far away|in another town|on an island|in the north|abroad].",
    "I am in a hurry.",
    "We are {n} people.",
    "My old one [broke|is lost|is ugly|was better].",
    "I moved [house|to a new flat|last week].",
    "I was in your shop [yesterday|last week|{n} days ago].",
    "I have [a|one|another|a quick|a small] question.",
    "My budget is {n} euros.",
    "[Sorry to bother you.|I hope you can help.|I am new here.|Just a question.|I need some advice.|I am curious.]",
    "[We|I] have a [small|big|new] [garden|kitchen|house|child|dog].",
    "[My birthday|The party|The holiday|The weekend] is [coming|near|next week|in {n} days].",
    "I am not sure [yet|if I want it|about it].",
    "I read about it [online|in the paper|somewhere].",
    "I saw one for {n} euros [elsewhere|in another shop|online].",
)

RELATIVE_SHARE: Final = 0.12
PRONOUNS: Final = "[it|it|it|it|that|this one|that one|this]"
FOLLOW_LEADS: Final = "[and|ok|good|fine|ok, and|also|then|so|now||||]"


def spin(attribute: str, name: str, rng: Random) -> str:
    """A training question about this attribute of the product of that name."""
    clause = rng.choice(RELATIVE_CLAUSES) if rng.random() < RELATIVE_SHARE else ""
    full = expand(f"{DETERMINERS} {name} {clause}", rng)
    style = rng.random()
    if style < 0.3:
        text = f"{rng.choice(CONTEXTS).format(it=full)} {_ask(attribute, expand(PRONOUNS, rng), rng)}"
    elif style < 0.36:
        pronoun = expand(PRONOUNS, rng)
        text = f"{_ask(attribute, pronoun, rng)}? [I mean|I am talking about|It is about] {full}"
    else:
        text = _ask(attribute, full, rng)
    return finish(text, rng)


def follow_up(attribute: str, rng: Random) -> str:
    """A training question about this attribute of what was spoken of before."""
    if rng.random() < 0.2:
        return finish(f"{FOLLOW_LEADS} the {NOUNS[attribute]}", rng)
    return finish(f"{FOLLOW_LEADS} {_ask(attribute, expand(PRONOUNS, rng), rng)}", rng)


def finish(pattern: str, rng: Random) -> str:
    """The pattern as somebody would type it: numbers in, a mark at the end, perhaps a remark beside it."""
    text = capital(expand(pattern, rng)) + rng.choice("?????.")
    if rng.random() < 0.25:
        remark = capital(expand(rng.choice(REMARKS), rng))
        text = f"{remark} {text}" if rng.random() < 0.7 else f"{text} {remark}"
    return text.replace("{n}", str(number(rng)))


def _ask(attribute: str, it: str, rng: Random) -> str:
    style = rng.random()
    if style < 0.5:
        pattern = rng.choice(DIRECT[attribute])
    elif style < 0.78:
        pattern = f"{rng.choice(LEADS)} {rng.choice(CLAUSES[attribute])}"
    else:
        pattern = rng.choice(NOUN_FRAMES).replace("{noun}", NOUNS[attribute])
    return pattern.replace("{it}", it)
