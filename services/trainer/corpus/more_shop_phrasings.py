"""The second half of the questions about the shop itself: after the purchase, and extras."""

from typing import Final

from services.trainer.corpus.shop_phrasings import Topic

MORE_TOPICS: Final = {
    "refunds": Topic(
        (
            "when [do|will|can] I [get|see|receive] [my|the|a] [refund|money back]",
            "[where is|where's|what about] my [refund|money|money back]",
            "how long does [a|the|my] refund [take|need]",
            "how [fast|soon|quickly|long] [are|is|do] [refunds|the refund|my refund|you refund] [paid|take|me|]",
            "I [want|need|would like] my money [back|back please|back now]",
            "my [refund|money] [has not arrived|is late|did not come|is missing|is not on my account]",
            "I am [still|] waiting for [my|the|a] [refund|money|money back]",
            "I returned it [last week|{n} days ago|], [where|when] [is my money|do I get my money|is the refund]",
            "do [I|you] [get|pay|give] [refunds|a refund|my money back|money back]",
            "[can|could] [I|you] [get|give me|have] [a refund|my money back]",
            "[is|was] [my|the] refund [paid|sent|done|on its way|coming]",
        ),
        (
            "when I [get|will get|receive] [my|the] [refund|money|money back]",
            "how long [a|the|my] refund takes",
            "where my [refund|money] is",
            "when [the refund|my refund|my money] [is paid|arrives|comes|will be paid]",
        ),
        "[refund|refunds|money back|refund time]",
    ),
    "tracking": Topic(
        (
            "where is my [order|parcel|package|delivery|stuff] [now|]",
            "how [can|do|could] I [track|see|find|check] [my|the] [order|parcel|package|shipment]",
            "[can|could|may] I [track|see|check|watch] [my|the] [order|parcel|package|shipment]",
            "[has|was|is] my [order|parcel|package] [been sent|sent|shipped|on its way|gone|already sent]",
            "[what is|what's] [the|] [status|state] of my [order|parcel|package]",
            "I [want|need|would like] to [track|see|find] [my|the] [order|parcel|package]",
            "my [order|parcel|package] [has not arrived|is late|did not come|is lost|is missing|is not here]",
            "[when|where] [can I see|do I see] [my order|my parcel|the status|where the parcel is]",
            "[track|check|find] my [order|parcel|package]",
            "do you [have|offer] [tracking|a tracking number|parcel tracking]",
            "did you [send|ship] my [order|parcel|package]",
        ),
        (
            "where my [order|parcel|package] is",
            "how [to|I can|I] [track|follow|see] my [order|parcel|package]",
            "[if|whether] my [order|parcel|package] [was sent|has been sent|is on its way]",
            "the status of my [order|parcel|package]",
        ),
        "[order status|tracking|parcel tracking|tracking number|status of my order|parcel status]",
    ),
    "cancelling": Topic(
        (
            "[can|could|may] I [cancel|stop|undo] [my|an|the] order [today|now|]",
            "how [do|can|could|should] I [cancel|stop|undo] [my order|an order|the order|it]",
            "I [want|need|would like|have] to [cancel|stop|undo] [my order|an order|the order|it]",
            "cancel [my|the|this] order [please|now|]",
            "[is it|would it be] possible to cancel [my order|an order|the order]",
            "[can|could|would] you cancel [my|the|this] order [for me|]",
            "[until when|till when|how long] can [I cancel|an order be cancelled|orders be cancelled] [my order|]",
            "I [do not|don't|no longer] [want|need] [my|the|this] order [now|any longer||], cancel it",
            "I [do not|don't|no longer] [want|need] [my|the|this] order [now|any longer|after all|]",
            "I ordered [twice|the wrong thing|too much|too fast], can I [cancel|stop it|undo it]",
            "do you [allow|accept] [cancelling|a cancelled order|cancellation]",
        ),
        (
            "how [to|I can|I] cancel [my order|an order|the order]",
            "[if|whether] I [can|may] [still|] cancel [my order|an order]",
            "[until when|how long] I can cancel",
        ),
        "[cancelling|cancellation|cancelling an order|order cancellation]",
    ),
    "repairs": Topic(
        (
            "[can|could|would|do|will] you [repair|fix|mend] [it|things|products|my old one|this|something]",
            "do you [offer|have|do] [a repair|repairs|a repair service|repair work|a workshop]",
            "where [can|do|could] I [get|have] [it|this|things|something] [repaired|fixed|mended]",
            "[is there|have you] [a workshop|a repair shop|somebody who repairs|someone to fix it]",
            "it [broke|is broken|stopped working|does not work], can you [repair it|fix it|mend it]",
            "I [want|need|would like] [a repair|it repaired|to repair something|to get it fixed|something fixed]",
            "how [do|can] I get [a repair|it repaired|it fixed]",
            "[can|could] [it|this|my old one] be [repaired|fixed|mended]",
            "who [fixes|repairs|mends] [it|things|this|broken things]",
            "repair [it|my thing|this] please",
        ),
        (
            "[if|whether] you [repair|fix|mend] [it|things|products]",
            "where I [get|can have] it [repaired|fixed]",
            "who can [repair|fix] [it|this]",
        ),
        "[repairs|repair|repair service|workshop|repair work]",
    ),
    "gift cards": Topic(
        (
            "do you [sell|have|offer|make] [gift cards|vouchers|a gift card|a voucher|gift vouchers]",
            "[can|could|may] [I|we|one] [buy|get|have|order] [a gift card|a voucher|gift cards|vouchers] [here|]",
            (
                "I [want|need|would like|am looking for] [a gift card|a voucher|gift cards|to buy a gift "
                "card|to give a voucher]"
            ),
            "how much [is|does] [a gift card|a voucher|the gift card] [cost|]",
            "[are there|is there|have you got] [gift cards|vouchers|a gift card|a gift voucher]",
            "where [can|do] I [buy|get|find] [a gift card|gift cards|a voucher]",
            "[what|which] [gift cards|vouchers|values of gift cards] [do you sell|are there|can I get]",
            "for what [amount|sum|value] [are|is] [gift cards|the gift card|a voucher]",
            "I need a [present|gift], do you have [vouchers|gift cards]",
        ),
        (
            "[if|whether] you [sell|have|offer] [gift cards|vouchers]",
            "[if|where|whether] I can [buy|get] [a gift card|a voucher]",
            "how much [a gift card|a voucher] [is|costs]",
            "[what|which] [gift cards|vouchers] you [have|sell]",
        ),
        "[gift cards|gift card|vouchers|gift voucher|voucher]",
    ),
    "invoice": Topic(
        (
            "[where is|where's|what about] [my|the] [invoice|bill|receipt]",
            "[can|could|may] I [get|have|see|print] [an invoice|a bill|a receipt|my invoice|the receipt]",
            "I [want|need|would like|miss] [an invoice|a bill|a receipt|my invoice|the invoice]",
            "how [do|can|could] I [get|find|print|download] [an invoice|the invoice|my receipt|a bill]",
            "[will|do] I [get|receive] [an invoice|a bill|a receipt]",
            "do you [send|write|give] [invoices|an invoice|bills|a receipt|me an invoice]",
            "I [have|got|received|see] no [invoice|bill|receipt]",
            "[my|the] [invoice|bill|receipt] [is missing here|is lost|did not come|is wrong|is not here]",
            "where [can|do] I [see|find|print] [the|a|my] [invoice|bill|receipt]",
            "my [boss|company|office|tax office] [needs|wants] [an invoice|a bill|a receipt|the invoice]",
        ),
        (
            "where [my|the] [invoice|bill|receipt] is",
            "how [to|I] get [an invoice|a bill|a receipt]",
            "where [to|I can] find [an invoice|the invoice|my receipt]",
            "[if|whether] I get [an invoice|a bill|a receipt]",
        ),
        "[invoice|bill|receipt|invoice for my order]",
    ),
}
